/**
 * Changes that meet. A text is sent with the version that it was based on; if somebody else has
 * changed *this* text since, their words and yours stand side by side, and you choose. If they have
 * changed something else, nobody needs to be asked.
 */

import { ConflictError } from "@taskloom/client";
import { useEffect, useRef } from "react";
import { Store, useStore } from "../store.ts";

interface Conflict {
  what: string;
  mine: string;
  theirs: string;
  choose: (text: string | null) => void;
}

const conflict = new Store<Conflict | null>(null);

/**
 * Send a text, based on an object with a version. Returns once it is sent, or given up.
 * `send(text, version)` throws `ConflictError` if the object has changed.
 */
export async function sendText(
  what: string,
  mine: string,
  base: { text: string; version: number },
  textOf: (current: any) => string,
  send: (text: string, version: number) => Promise<unknown>,
): Promise<void> {
  try {
    await send(mine, base.version);
  } catch (error) {
    if (!(error instanceof ConflictError) || !error.current) throw error;
    const theirs = textOf(error.current);
    const next = { text: theirs, version: error.current.version as number };
    const text = theirs === base.text || theirs === mine ? mine : await ask(what, mine, theirs);
    if (text !== null && text !== theirs) await sendText(what, text, next, textOf, send);
  }
}

function ask(what: string, mine: string, theirs: string): Promise<string | null> {
  return new Promise((resolve) => {
    const choose = (text: string | null) => {
      conflict.set(null);
      resolve(text);
    };
    conflict.set({ what, mine, theirs, choose });
  });
}

export function ConflictDialog() {
  const shown = useStore(conflict);
  return shown && <Dialog {...shown} />;
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
