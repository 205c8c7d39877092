/** A person as a small round picture, or the first letters of their name. */

import type { PersonFragment } from "../generated/graphql.ts";

const LETTERS = new Intl.Segmenter();

interface Props {
  person: PersonFragment;
  /** What to say of them; their name by default. */
  label?: string;
}

export function Person({ person, label = person.displayName }: Props) {
  const url = person.avatarUrl;
  // The page may load pictures of its own server only.
  const own = url !== null && new URL(url, location.href).origin === location.origin;
  return (
    <span className="person" role="img" aria-label={label} title={label} style={colorOf(person.id)}>
      {own ? <img src={url} alt="" /> : initialsOf(person.displayName)}
    </span>
  );
}

function initialsOf(name: string): string {
  const words = name.split(/\s+/).filter(Boolean);
  const shown = words.length > 1 ? [words[0]!, words.at(-1)!] : words;
  return shown.map(firstOf).join("").toUpperCase();
}

/** What people take for one letter, such as an emoji, may be several characters. */
function firstOf(word: string): string {
  return LETTERS.segment(word)[Symbol.iterator]().next().value?.segment ?? "";
}

/** Dark enough for white letters, whatever the hue. */
function colorOf(id: string): { background: string } {
  let hue = 0;
  for (const letter of id) hue = (hue * 31 + letter.charCodeAt(0)) % 360;
  return { background: `hsl(${hue} 42% 30%)` };
}
