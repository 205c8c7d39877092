/** Documents with types, and what the client has to know about them. */

export type Variables = Record<string, unknown>;

/** A document of the client preset with `documentMode: "string"`. */
export interface TypedDocument<R, V> {
  toString(): string;
  __apiType?: (variables: V) => R;
}

export type Document<R, V> = string | TypedDocument<R, V>;

/** The body of a request. */
export interface Body {
  query: string;
  variables?: Variables;
  operationName?: string;
}

// A text may contain anything.
const TEXTS = /"""[\s\S]*?"""|"(?:\\.|[^"\\\n])*"|#.*/g;
const PARTS = /[{}()]|fragment\s+\w+|\b(?:query|mutation|subscription)\b/g;

/** The kind of a document's first operation. */
export function kindOf(query: string): "query" | "mutation" | "subscription" {
  let depth = 0;
  for (const [part] of query.replace(TEXTS, " ").matchAll(PARTS)) {
    if (part === "}" || part === ")") depth -= 1;
    else if (part === "{" || part === "(") depth += 1;
    else if (depth === 0 && part === "mutation") return part;
    else if (depth === 0 && part === "subscription") return part;
    else if (depth === 0 && part === "query") return part;
  }
  return "query";
}

/** The variables of a mutation, with an idempotency key in `input`, if there is an `input`. */
export function withKey(variables: Variables): { variables: Variables; hasKey: boolean } {
  const { input } = variables;
  if (typeof input !== "object" || input === null) return { variables, hasKey: false };
  const key = (input as { idempotencyKey?: string | null }).idempotencyKey ?? crypto.randomUUID();
  return { variables: { ...variables, input: { ...input, idempotencyKey: key } }, hasKey: true };
}
