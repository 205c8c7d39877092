/**
 * Changes that meet. A text is sent with the version that it was based on; if somebody else has
 * changed *this* text since, their words and yours stand side by side, and you choose. If they have
 * changed something else, nobody needs to be asked.
 */

import { ConflictError } from "@taskloom/client";
import { useEffect, useRef } from "react";
import { Store, useStore } from "../store.ts";

/** A text of a task, as somebody has written it. */
export interface Text {
  field: "title" | "description";
  /** The task's name for people. */
  of: string;
  mine: string;
  /** What it was when they began, and the task's version. */
  base: { text: string; version: number };
}

interface Conflict {
  id: number;
  what: string;
  mine: string;
  theirs: string;
  choose: (text: string | null) => void;
}

// They are shown one by one: several changes that waited for the network may all meet others.
const conflicts = new Store<readonly Conflict[]>([]);
let count = 0;

/**
 * Send a text. Returns once it is sent, or given up. `send` throws `ConflictError` if the task has
 * changed; `first` is what it returned if the text is on its way already.
 */
export async function sendText(
  text: Text,
  send: (text: Text) => Promise<unknown>,
  first: Promise<unknown> | null = null,
): Promise<void> {
  const { field, mine, base } = text;
  try {
    await (first ?? send(text));
  } catch (error) {
    if (!(error instanceof ConflictError) || !error.current) throw error;
    const { version } = error.current;
    const theirs: string = error.current[field] ?? "";
    const chosen = theirs === base.text || theirs === mine ? mine : await ask(text, theirs);
    if (chosen !== null && chosen !== theirs)
      await sendText({ ...text, mine: chosen, base: { text: theirs, version } }, send);
  }
}

function ask({ field, of, mine }: Text, theirs: string): Promise<string | null> {
  const id = (count += 1);
  return new Promise((resolve) => {
    const choose = (text: string | null) => {
      conflicts.set(conflicts.value.filter((one) => one.id !== id));
      resolve(text);
    };
    conflicts.set([...conflicts.value, { id, what: `${field} of ${of}`, mine, theirs, choose }]);
  });
}

export function ConflictDialog() {
  const [shown] = useStore(conflicts);
  return shown ? <Dialog key={shown.id} {...shown} /> : null;
}

function Dialog({ what, mine, theirs, choose }: Conflict) {
  const dialog = useRef<HTMLDialogElement>(null);
  const text = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
    text.current?.focus();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby="conflict" onClose={() => choose(null)}>
      <h2 id="conflict">Somebody else has changed the {what}</h2>
      <p className="quiet">You both worked on it at the same time. Which one shall it be?</p>
      <div className="versions">
        <label>
          Theirs
          <textarea readOnly rows={5} value={theirs} />
        </label>
        <label>
          Yours
          <textarea ref={text} rows={5} defaultValue={mine} />
        </label>
      </div>
      <p className="row">
        <button type="button" onClick={() => choose(null)}>
          Keep theirs
        </button>
        <button type="button" className="primary" onClick={() => choose(text.current!.value)}>
          Use mine
        </button>
      </p>
    </dialog>
  );
}
