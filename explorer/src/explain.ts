/**
 * How the server ran the last operation. While it is switched on, queries and mutations are sent
 * with `extensions.explain`; what comes back for it is shown in its own pane and not in the answer.
 */
import type { ExecutionResult } from "graphql";
import { Store } from "./store";

export interface Statement {
  text: string;
  parameters: string[];
}

export interface ExplainedField {
  path: string;
  field: string;
  source: string;
  /** How many objects each run of the field was for. */
  batches: number[];
  milliseconds: number;
  /** Whether PostgreSQL wrote it as JSON, together with its object. */
  serialized: boolean;
  accessPath: { path: string; why: string } | null;
  statements: Statement[];
}

export interface Report {
  engine: string;
  /** Why the batch engine did not run it. */
  reason?: string;
  serialized?: boolean;
  runs?: number;
  fields?: ExplainedField[];
  /** Those that belong to no field. */
  statements?: Statement[];
}

export interface ExplainView {
  enabled: boolean;
  report: Report | null;
}

class Explain extends Store<ExplainView> {
  constructor() {
    super({ enabled: false, report: null });
  }

  enable(enabled: boolean) {
    this.set({ enabled, report: null });
  }

  /** What to send with an operation. */
  extensions(): { explain: true } | undefined {
    return this.view().enabled ? { explain: true } : undefined;
  }

  /** The answer without its report, which goes into the pane. */
  take(result: ExecutionResult): ExecutionResult {
    const { explain, ...extensions } = result.extensions ?? {};
    if (explain === undefined) return result;
    this.set({ ...this.view(), report: explain as Report });
    return { ...result, extensions };
  }
}

/** One a page: plugins of GraphiQL are made once, and get nothing handed to them. */
export const EXPLAIN = new Explain();
