/** What is being written: kept while one looks at something else, but not for somebody else. */

import type { Text } from "../parts/conflict.tsx";

/** A text that is being written, and what it was when that began. */
export interface Draft {
  text: string;
  base: Text["base"];
}

/** By task and field. */
export const texts = new Map<string, Draft>();
/** By task. */
export const comments = new Map<string, string>();

let writer: string | null = null;

/** From now on this user writes. */
export function writes(user: string): void {
  if (user !== writer) [texts, comments].forEach((drafts) => drafts.clear());
  writer = user;
}
