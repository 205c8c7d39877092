/** A dialog that is open as long as it is shown, and closed with Escape. */

import { type ReactNode, useEffect, useId, useRef } from "react";

interface Props {
  title: string;
  close: () => void;
  children: ReactNode;
}

export function Modal({ title, close, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    // Not again, if React mounts it twice to try it out.
    if (!dialog.current?.open) dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={heading} onClose={close}>
      <h2 id={heading}>{title}</h2>
      {children}
    </dialog>
  );
}
