import type { ReactNode } from "react";
import { createPortal } from "react-dom";

/** Something to know, in the corner of the page until it is closed. */
export function Notice({ children, onClose }: { children: ReactNode; onClose: () => void }) {
  return createPortal(
    <p className="notice" role="status">
      {children}
      <button type="button" onClick={onClose}>
        Close
      </button>
    </p>,
    document.body,
  );
}
