/** Comparing nodes in the order of the server's lists. */

import type { Compare } from "./live.ts";

export type Direction = "ASC" | "DESC" | "ASC_NULLS_FIRST" | "DESC_NULLS_FIRST";
/** A term of `orderBy`: a field and its direction, or a related object and its term. */
export interface Order {
  readonly [field: string]: Direction | Order | null | undefined;
}

// Enums sort as they are declared, and not by their names.
const MEMBERS: Record<string, readonly string[]> = {
  status: ["TODO", "IN_PROGRESS", "COMPLETED", "CANCELLED"],
  priority: ["NONE", "LOW", "MEDIUM", "HIGH", "URGENT"],
};
// Texts for people; all others (`position`, `key`) sort by code points.
const TEXTS = ["title", "name", "username", "fullName", "filename"];

/** A comparison for `sort`, by the same terms as the list's argument `orderBy`, and then by ID. */
export function orderBy(terms: readonly Order[]): Compare<any> {
  // The ID has the direction of the last term.
  const id = JSON.stringify(terms.at(-1) ?? "").includes('"DESC') ? "DESC" : "ASC";
  const comparisons = [...terms, { id } as const].map(byTerm);
  return (one, other) =>
    comparisons.reduce((result, compare) => result || compare(one, other), 0);
}

function byTerm(term: Order): Compare<any> {
  const path: string[] = [];
  let inner: any = term;
  for (; typeof inner === "object"; inner = inner[path.at(-1)!]) path.push(Object.keys(inner)[0]!);
  const direction = String(inner);
  const sign = direction.startsWith("DESC") ? -1 : 1;
  const nulls = direction.endsWith("NULLS_FIRST") ? -1 : 1;
  return (one, other) => {
    const [a, b] = [valueAt(one, path), valueAt(other, path)];
    if (a === null || b === null) return (Number(a === null) - Number(b === null)) * nulls;
    return sign * (a < b ? -1 : Number(a > b));
  };
}

/** What is compared: text whose code units sort as it should, or a number. */
function valueAt(node: any, path: readonly string[]): string | number | null {
  const value = path.reduce((object, field) => (object === null ? null : object?.[field]), node);
  if (value === undefined) throw new TypeError(`The nodes must select ${path.join(".")}.`);
  if (typeof value !== "string") return value;
  const field = path.at(-1)!;
  const members = MEMBERS[field];
  if (members) return members.indexOf(value);
  // "…:07.5Z" is later than "…:07Z".
  return TEXTS.includes(field) ? sortKey(value) : value.replace(/(?<=^\d{4}-.*)Z$/, "");
}

// The server's sort keys: without case and accents, then what distinguishes equal texts, a small
// letter before its capital.
const CASED = /[\u0000-\u02ff\u0370-\u058f\u1c80-\u1fff]/g;
const REPLACED: Record<string, string> = {
  ...{ ø: "o", đ: "d", ð: "d", ħ: "h", ı: "i", ł: "l", ŋ: "n", ŧ: "t", ς: "σ" },
  ...{ ß: "ss", æ: "ae", œ: "oe", þ: "th", ĳ: "ij" },
};

function sortKey(text: string): string {
  const bare = text.normalize("NFD").replace(/[\u0300-\u036f]/g, "");
  const small = bare.replace(CASED, (letter) => letter.toLowerCase());
  const folded = small.replace(/[øđðħıłŋŧςßæœþĳ]/g, (letter) => REPLACED[letter]!);
  const tie = first(text.normalize("NFD"), 100).replace(/[a-z]/gi, (letter) =>
    letter < "a" ? letter.toLowerCase() : letter.toUpperCase(),
  );
  // In this form code units sort like code points.
  const key = `${first(folded.normalize("NFC"), 300)}\u0001${tie}`;
  return key.replace(/[\ud800-\udfff]/g, (unit) => `\uffff${unit}`);
}

const first = (text: string, count: number) => [...text].slice(0, count).join("");
