/**
 * Changes that meet. A text is sent with the version that it was based on; if somebody else has
 * changed *this* text since, their words and yours stand side by side, and you choose. If they have
 * changed something else, nobody needs to be asked.
 */

import { useEffect, useRef } from "react";
import { Store, useStore } from "../store.ts";
import { Modal } from "./modal.tsx";
import { refused } from "./refused.tsx";

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
 * What becomes of a text that met the task as it is `current`: the text to send next, or null if
 * theirs stays.
 */
export async function settle(text: Text, current: any): Promise<Text | null> {
  const { field, mine, base } = text;
  const theirs: string = current[field] ?? "";
  const chosen = theirs === base.text || theirs === mine ? mine : await ask(text, theirs);
  if (chosen === null || chosen === theirs) return null;
  return { ...text, mine: chosen, base: { text: theirs, version: current.version } };
}

/** Ask no more; who was asked gets no answer. */
export function dismiss(): void {
  conflicts.set([]);
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
  const text = useRef<HTMLTextAreaElement>(null);
  useEffect(() => text.current?.focus(), []);
  function escaped() {
    // Nobody has decided to lose their words.
    refused(text.current!.value, new Error(`The ${what} stays as somebody else has written it.`));
    choose(null);
  }
  return (
    <Modal title={`Somebody else has changed the ${what}`} close={escaped}>
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
    </Modal>
  );
}
