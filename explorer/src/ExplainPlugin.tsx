import type { GraphiQLPlugin } from "@graphiql/react";
import { EXPLAIN, type ExplainedField, type Report, type Statement } from "./explain";
import { useStore } from "./store";

/** A pane that says how the server ran the last operation; for servers in development only. */
export const EXPLAIN_PLUGIN: GraphiQLPlugin = {
  title: "Explain",
  icon: () => (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round">
      <path d="M4 6h16M4 12h10M4 18h6" />
      <circle cx="18" cy="16" r="3" />
      <path d="m20.2 18.2 1.8 1.8" />
    </svg>
  ),
  content: Explained,
};

function Explained() {
  const { enabled, report } = useStore(EXPLAIN);
  return (
    <section className="explain" aria-label="Explain">
      <h2>Explain</h2>
      <label>
        <input type="checkbox" checked={enabled} onChange={(event) => EXPLAIN.enable(event.target.checked)} />
        Explain queries and mutations
      </label>
      {enabled && report === null && <p>Execute an operation to see how the server runs it.</p>}
      {report !== null && <Summary report={report} />}
    </section>
  );
}

function Summary({ report }: { report: Report }) {
  const fields = report.fields ?? [];
  const others = report.statements ?? [];
  const count = fields.reduce((sum, field) => sum + field.statements.length, others.length);
  const serialized = report.serialized ? "serialized by PostgreSQL" : "not serialized";
  return (
    <>
      <p data-testid="explain-summary">
        {report.engine === "batch"
          ? `Batch engine, run ${report.runs}, ${serialized}`
          : `Standard engine${report.reason === undefined ? "" : ` (${report.reason})`}`}
        {`; ${count} ${count === 1 ? "statement" : "statements"}.`}
      </p>
      {fields.map((field) => (
        <Field key={`${field.path} ${field.field}`} field={field} />
      ))}
      {others.length > 0 && (
        <>
          <h3>Outside of fields</h3>
          <Statements statements={others} />
        </>
      )}
    </>
  );
}

function Field({ field }: { field: ExplainedField }) {
  const objects = field.batches.join(" + ");
  const facts = [
    field.source,
    `${objects} ${objects === "1" ? "object" : "objects"}`,
    field.serialized ? "as JSON with its object" : `${field.milliseconds.toFixed(2)} ms`,
  ];
  return (
    <details open={field.statements.length > 0}>
      <summary>
        <code>{field.path}</code> <span>{facts.join(", ")}</span>
      </summary>
      {field.accessPath !== null && (
        <p>
          Access path: {field.accessPath.path} ({field.accessPath.why}).
        </p>
      )}
      <Statements statements={field.statements} />
    </details>
  );
}

function Statements({ statements }: { statements: Statement[] }) {
  return (
    <>
      {statements.map(({ text, parameters }, index) => (
        <figure key={index}>
          <pre tabIndex={0}>{text}</pre>
          {parameters.length > 0 && (
            <figcaption>{parameters.map((type, number) => `$${number + 1} ${type}`).join(", ")}</figcaption>
          )}
        </figure>
      ))}
    </>
  );
}
