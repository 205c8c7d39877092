/** Moving cards: with a mouse, with a finger (after a long press), and with the keyboard. */

import { type KeyboardEvent, type PointerEvent, useEffect, useRef, useState } from "react";
import type { TaskStatus } from "../generated/graphql.ts";
import { type Board, type Card, STATUS_NAMES, STATUSES } from "./board.ts";
import { neighbour } from "./places.ts";
import { elementOf, follow } from "./pointer.ts";

/** Where the card would go: before another card of a column, or to its end. */
export interface Over {
  status: TaskStatus;
  before: string | null;
}

export interface DragState {
  card: Card;
  over: Over;
  /** With a pointer; otherwise with the keyboard. */
  byPointer: boolean;
}

export interface Drag {
  state: DragState | null;
  pressed: (event: PointerEvent<HTMLElement>, card: Card) => void;
  key: (event: KeyboardEvent<HTMLElement>, card: Card) => void;
  blurred: () => void;
  /** Whether a click only ends a drag. */
  wasDragged: () => boolean;
}

export function useDrag(board: Board, announce: (text: string) => void): Drag {
  const [state, setState] = useState<DragState | null>(null);
  // A card that changes its column is another element, and takes the focus with it.
  const isMoving = useRef(false);
  const draggedAt = useRef(-Infinity);

  useEffect(() => {
    if (!state || state.byPointer) return;
    const element = elementOf(state.card.id);
    element?.focus();
    element?.scrollIntoView({ block: "nearest", inline: "nearest" });
    isMoving.current = false;
  }, [state]);

  const columnOf = (status: TaskStatus, card: Card) =>
    board.tasks.items.filter((other) => other.status === status && other.id !== card.id);

  function drop({ card, over }: DragState) {
    const find = (id: string | null) => board.tasks.items.find((item) => item.id === id) ?? null;
    // Somebody else may have moved it meanwhile.
    board.move(find(card.id) ?? card, over.status, find(over.before));
    setState(null);
  }

  function describe({ status, before }: Over, card: Card): string {
    const column = columnOf(status, card);
    const index = column.findIndex(({ id }) => id === before);
    const place = (index < 0 ? column.length : index) + 1;
    return `${STATUS_NAMES[status]}, position ${place} of ${column.length + 1}`;
  }

  function pressed(event: PointerEvent<HTMLElement>, card: Card) {
    if (event.button !== 0 || !card.viewerCanEdit) return;
    follow(event, (result) => {
      if (result === "cancelled") return setState(null);
      draggedAt.current = performance.now();
      const next = { card, over: result.over, byPointer: true };
      if (result.isDropped) drop(next);
      else setState(next);
    });
  }

  function key(event: KeyboardEvent<HTMLElement>, card: Card) {
    if (event.key === " ") {
      event.preventDefault();
      if (!card.viewerCanEdit) return announce("You cannot move this task.");
      if (state) {
        announce(`Dropped. ${describe(state.over, card)}.`);
        isMoving.current = true;
        return drop(state);
      }
      const column = board.tasks.items.filter(({ status }) => status === card.status);
      const index = column.findIndex(({ id }) => id === card.id);
      const over = { status: card.status, before: column[index + 1]?.id ?? null };
      setState({ card, over, byPointer: false });
      return announce(`Lifted ${card.title}. ${describe(over, card)}.`);
    }
    if (!state) {
      if (!event.key.startsWith("Arrow")) return;
      event.preventDefault();
      const next = neighbour(board.tasks.items, card, event.key, STATUSES);
      return elementOf(next?.id)?.focus();
    }
    event.preventDefault();
    const over = event.key.startsWith("Arrow") ? moved(state, event.key) : null;
    if (over) {
      isMoving.current = true;
      setState({ ...state, over });
      announce(`${describe(over, card)}.`);
    } else if (event.key === "Escape" || event.key === "Tab") {
      setState(null);
      announce("Left where it was.");
    }
  }

  function moved({ card, over }: DragState, arrow: string): Over | null {
    const column = columnOf(over.status, card);
    const index = column.findIndex(({ id }) => id === over.before);
    const at = index < 0 ? column.length : index;
    if (arrow === "ArrowUp") return { ...over, before: column[Math.max(0, at - 1)]?.id ?? null };
    if (arrow === "ArrowDown") return { ...over, before: column[at + 1]?.id ?? null };
    const step = arrow === "ArrowRight" ? 1 : -1;
    const status = STATUSES[STATUSES.indexOf(over.status) + step];
    return status ? { status, before: columnOf(status, card)[at]?.id ?? null } : null;
  }

  return {
    state,
    pressed,
    key,
    blurred: () => {
      if (state && !state.byPointer && !isMoving.current) setState(null);
    },
    wasDragged: () => performance.now() - draggedAt.current < 100,
  };
}
