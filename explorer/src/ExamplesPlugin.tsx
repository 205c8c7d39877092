import { useGraphiQL, useGraphiQLActions, type GraphiQLPlugin } from "@graphiql/react";
import { TOPICS, type Example } from "./examples";
import { Prose } from "./Prose";

/** A pane that lists the examples and opens one in a tab of its own: they cannot get lost. */
export const EXAMPLES_PLUGIN: GraphiQLPlugin = {
  title: "Examples",
  icon: () => (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round">
      <path d="M9 18h6M10 21h4M9 15c0-2-3-3-3-7a6 6 0 0 1 12 0c0 4-3 5-3 7z" strokeLinejoin="round" />
    </svg>
  ),
  content: Examples,
};

function Examples() {
  const { addTab } = useGraphiQLActions();
  const queryEditor = useGraphiQL((state) => state.queryEditor);
  const variableEditor = useGraphiQL((state) => state.variableEditor);

  function open({ query, variables }: Example) {
    addTab();
    queryEditor?.setValue(query);
    variableEditor?.setValue(variables ?? "");
    // On a phone the editor is below this list.
    document.getElementById("graphiql-session")?.scrollIntoView({ block: "nearest" });
  }

  return (
    <section className="examples" aria-label="Examples">
      <h2>Examples</h2>
      <p>
        Each opens in a tab of its own. They use the demo data, and run in this order. More is in the{" "}
        <a href="docs" target="_blank" rel="noreferrer">
          guide
        </a>
        .
      </p>
      {[...TOPICS].map(([topic, examples]) => (
        <details key={topic} open={topic !== "Start"}>
          <summary>{topic}</summary>
          {examples.map((example) => (
            <button key={example.title} type="button" onClick={() => open(example)}>
              <strong>{example.title}</strong>
              <span>
                <Prose text={example.about} />
              </span>
            </button>
          ))}
        </details>
      ))}
    </section>
  );
}
