/** The card below the pointer while it is dragged. */

import { Face } from "./card.tsx";
import type { DragState } from "./drag.ts";
import { useStore } from "../store.ts";
import { pointer } from "./pointer.ts";

export function Ghost({ state }: { state: DragState | null }) {
  const { x, y } = useStore(pointer);
  if (!state?.byPointer) return null;
  return (
    <div className="card ghost" aria-hidden="true" style={{ translate: `${x}px ${y}px` }}>
      <Face card={state.card} />
    </div>
  );
}
