import { useGraphiQL } from "@graphiql/react";
import { isEnumType } from "graphql";
import { useEffect, useState } from "react";
import { docsOf, useCodeLinks } from "./codeLinks";
import { Prose } from "./Prose";
import { NOT_YET, type Cost, type Run } from "./run";
import { useStore } from "./store";
import type { Transport } from "./transport";

/** Below an answer: what it cost, and what its error codes mean. */
export function AnswerNotes({ transport }: { transport: Transport }) {
  useCodeLinks();
  const latest = useStore(transport.run);
  const tab = useGraphiQL((state) => state.tabs[state.activeTabIndex]?.id ?? "");
  const [runs, setRuns] = useState<Readonly<Record<string, Run>>>({});
  // GraphiQL shows an answer in the tab that is open when it comes.
  useEffect(() => setRuns((before) => ({ ...before, [tab]: latest })), [latest]);
  const { cost, milliseconds, codes } = runs[tab] ?? NOT_YET;
  return (
    <div className="notes" role="status">
      {codes.length > 0 && (
        <ul aria-label="Error codes">
          {codes.map((code) => (
            <Code key={code} code={code} />
          ))}
        </ul>
      )}
      {cost !== null && (
        <p data-testid="cost">
          {priceOf(cost)}
          {milliseconds !== null && <> · {Math.round(milliseconds)} ms</>}
        </p>
      )}
    </div>
  );
}

function Code({ code }: { code: string }) {
  // A server that hides its schema shows the code alone.
  const meaning = useGraphiQL((state) => {
    const type = state.schema?.getType("ErrorCode");
    return isEnumType(type) ? type.getValue(code)?.description : undefined;
  });
  return (
    <li>
      <a href={docsOf(code)} target="_blank" rel="noreferrer">
        {code}
      </a>{" "}
      <Prose text={meaning ?? ""} />
    </li>
  );
}

function priceOf({ charged, remaining, resetAt }: Cost): string {
  const until = new Date(resetAt).toLocaleTimeString("en-GB");
  const points = charged === 1 ? "point" : "points";
  return `${charged.toLocaleString("en")} ${points} · ${remaining.toLocaleString("en")} left until ${until}`;
}
