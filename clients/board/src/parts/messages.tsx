/** Short messages at the edge of the window. */

import { TaskloomError } from "@taskloom/client";
import { Store, useStore } from "../store.ts";

// As long as it takes to read them.
const SHOWN_MS = 6_000;
const LETTER_MS = 80;
const messages = new Store<readonly { id: number; text: string }[]>([]);
let count = 0;

export function say(text: string): void {
  const id = (count += 1);
  messages.set([...messages.value, { id, text }]);
  const shownMs = Math.max(SHOWN_MS, text.length * LETTER_MS);
  setTimeout(() => messages.set(messages.value.filter((one) => one.id !== id)), shownMs);
}

/** Say why something was not done. */
export function failed(error: unknown): void {
  say(textOf(error));
}

/** The server's own words: they say what is wrong, and what the rule is. */
export function textOf(error: unknown): string {
  if (error instanceof TaskloomError) return error.problems[0]?.message ?? error.message;
  return error instanceof Error ? error.message : String(error);
}

export function Messages() {
  return (
    <div className="messages" role="status">
      {useStore(messages).map(({ id, text }) => (
        <p key={id}>{text}</p>
      ))}
    </div>
  );
}
