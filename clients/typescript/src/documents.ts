/** Documents with types, and what the client has to know about them. */

import { randomId } from "./random.ts";

export type Variables = Record<string, unknown>;

/**
 * A document of the client preset with `documentMode: "string"`. It says to the compiler of which
 * types its variables and its data are.
 */
export interface DocumentTypeDecoration<R, V> {
  __apiType?: (variables: V) => R;
}

export type Document<R, V> = string | DocumentTypeDecoration<R, V>;

/** The body of a request. */
export interface Body {
  query: string;
  variables: Variables;
}

// A text may contain anything.
const TEXTS = /"""[\s\S]*?"""|"(?:\\.|[^"\\\n])*"|#.*/g;
const PARTS = /[{}()]|fragment\s+\w+|\b(?:query|mutation|subscription)\b/g;

/** The kind of a document's first operation. */
export function kindOf(query: string): string {
  let depth = 0;
  for (const [part] of query.replace(TEXTS, " ").matchAll(PARTS)) {
    if ("})".includes(part)) depth -= 1;
    else if ("{(".includes(part)) depth += 1;
    else if (depth === 0 && !part.startsWith("fragment")) return part;
  }
  return "query";
}

/** The variables of a mutation with an idempotency key in `input`; null if there is no `input`. */
export function withKey({ input, ...others }: Variables): Variables | null {
  if (typeof input !== "object" || input === null) return null;
  const { idempotencyKey } = input as { idempotencyKey?: string | null };
  return { ...others, input: { ...input, idempotencyKey: idempotencyKey ?? randomId() } };
}
