/** Comparing nodes in the order of the server's lists. */

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
const TEXTS = new Set(["title", "name", "username", "fullName", "filename"]);

type Compare<T> = (one: T, other: T) => number;

/** A comparison for `sort`, by the same terms as the list's argument `orderBy`, and then by ID. */
export function orderBy(terms: readonly Order[]): Compare<any> {
  const comparisons = terms.map(byTerm);
  // The ID has the direction of the last term.
  const byId = byTerm({ id: JSON.stringify(terms.at(-1) ?? "").includes('"DESC') ? "DESC" : "ASC" });
  return (one, other) => {
    for (const compare of [...comparisons, byId]) {
      const result = compare(one, other);
      if (result !== 0) return result;
    }
    return 0;
  };
}

function byTerm(term: Order): Compare<any> {
  const path: string[] = [];
  let inner: Direction | Order | null | undefined = term;
  while (inner && typeof inner !== "string") {
    const [field, next]: [string, Direction | Order | null | undefined] = Object.entries(inner)[0]!;
    path.push(field);
    inner = next;
  }
  const direction: string = inner ?? "ASC";
  const sign = direction.startsWith("DESC") ? -1 : 1;
  const last = direction.endsWith("NULLS_FIRST") ? -1 : 1;
  return (one, other) => {
    const [a, b] = [valueAt(one, path), valueAt(other, path)];
    if (a === null || b === null) return (Number(a === null) - Number(b === null)) * last;
    return sign * (a < b ? -1 : a > b ? 1 : 0);
  };
}

/** What is compared: text whose code units sort as it should, or a number. */
function valueAt(node: any, path: readonly string[]): string | number | null {
  let value = node;
  for (const field of path) {
    if (value === null) return null;
    value = value[field];
    if (value === undefined) throw new TypeError(`The nodes must select ${path.join(".")}.`);
  }
  if (typeof value !== "string") return value;
  const field = path.at(-1)!;
  const members = MEMBERS[field];
  if (members) return members.indexOf(value);
  if (TEXTS.has(field)) return sortKey(value);
  // "…:07.5Z" is later than "…:07Z".
  return field.endsWith("At") ? value.replace("Z", "") : value;
}

// The server's sort keys: without case and accents, then what distinguishes equal texts, a small
// letter before its capital.
const CASED = /[\u0000-\u02ff\u0370-\u058f\u1c80-\u1fff]/g;
const OTHERS: Record<string, string> = {
  ...{ ø: "o", đ: "d", ð: "d", ħ: "h", ı: "i", ł: "l", ŋ: "n", ŧ: "t", ς: "σ" },
  ...{ ß: "ss", æ: "ae", œ: "oe", þ: "th", ĳ: "ij" },
};
const keys = new Map<string, string>();

function sortKey(text: string): string {
  const known = keys.get(text);
  if (known !== undefined) return known;
  const bare = text.normalize("NFD").replace(/[\u0300-\u036f]/g, "");
  const folded = bare.replace(CASED, small).replace(/[øđðħıłŋŧςßæœþĳ]/g, (one) => OTHERS[one]!);
  const tie = [...text.normalize("NFD")].slice(0, 100).join("");
  const key = `${ordered(folded.normalize("NFC"), 300)}\u0001${ordered(tie.replace(/[a-z]/gi, other), 100)}`;
  if (keys.size > 10_000) keys.clear();
  keys.set(text, key);
  return key;
}

function small(letter: string): string {
  const lower = letter.toLowerCase();
  return lower.length === 1 ? lower : letter;
}

function other(letter: string): string {
  return letter < "a" ? letter.toLowerCase() : letter.toUpperCase();
}

/** The first code points, in a form in which code units sort like code points. */
function ordered(text: string, most: number): string {
  const first = [...text].slice(0, most).join("");
  return first.replace(/[\ud800-\uffff]/g, (unit) => (unit < "\ue000" ? `\uffff${unit}` : unit));
}
