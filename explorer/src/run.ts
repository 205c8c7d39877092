/** What an answer says beside its data: what the operation cost, and which errors it met. */
import type { ExecutionResult } from "graphql";

/** `extensions.cost` of an answer, in points. */
export interface Cost {
  requested: number;
  charged: number;
  /** What is left of the budget until `resetAt`. */
  remaining: number;
  resetAt: string;
}

export interface Run {
  cost: Cost | null;
  /** From sending the operation to reading its answer; null for a subscription. */
  milliseconds: number | null;
  /** The codes of all errors, each once. */
  codes: readonly string[];
}

export const NOT_YET: Run = { cost: null, milliseconds: null, codes: [] };

export function costOf(result: ExecutionResult): Cost | null {
  return (result.extensions?.["cost"] as Cost | undefined) ?? null;
}

/** The codes of the request's errors, and of those in payloads at any depth. */
export function codesOf({ errors, data }: ExecutionResult): string[] {
  const found = new Set<string>();
  for (const error of errors ?? []) add(error.extensions?.["code"]);
  search(data);
  return [...found];

  function add(code: unknown) {
    if (typeof code === "string") found.add(code);
  }

  function search(value: unknown) {
    if (typeof value !== "object" || value === null) return;
    for (const [name, inner] of Object.entries(value)) {
      if (name === "errors" && Array.isArray(inner)) for (const error of inner) add(error?.code);
      else search(inner);
    }
  }
}
