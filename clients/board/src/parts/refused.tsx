/** Words that the server has refused, and whose field is gone: they are shown, to be copied. */

import { Store, useStore } from "../store.ts";
import { failed, textOf } from "./messages.tsx";
import { Modal } from "./modal.tsx";

interface Refused {
  words: string;
  why: string;
}

const all = new Store<readonly Refused[]>([]);

/** Say why a change was refused; `words` are what its author has written. */
export function refused(words: string | null, error: unknown): void {
  if (words) all.set([...all.value, { words, why: textOf(error) }]);
  else failed(error);
}

export function RefusedDialog() {
  const [first, ...others] = useStore(all);
  if (!first) return null;
  const close = () => all.set(others);
  return (
    <Modal key={all.value.length} title="This was not saved" close={close}>
      <p>{first.why}</p>
      <label>
        What you wrote
        <textarea readOnly rows={5} value={first.words} />
      </label>
      <p className="row">
        <button type="button" className="primary" onClick={close}>
          Close
        </button>
      </p>
    </Modal>
  );
}
