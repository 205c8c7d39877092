/** The card below the pointer while it is dragged. */

import { Face } from "./card.tsx";
import type { DragState } from "./drag.ts";

export function Ghost({ state }: { state: DragState | null }) {
  if (!state?.at) return null;
  const { x, y } = state.at;
  return (
    <div className="card ghost" aria-hidden="true" style={{ translate: `${x}px ${y}px` }}>
      <Face card={state.card} />
    </div>
  );
}
