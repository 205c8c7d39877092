/** Follows a pointer from pressing a card to dropping it. */

import type { PointerEvent } from "react";
import type { TaskStatus } from "../generated/graphql.ts";
import { Store } from "../store.ts";
import type { Over } from "./drag.ts";

// A mouse drags after so many pixels; a finger after so long, since it scrolls at once.
const FAR = 5;
const LONG_MS = 280;
// So near to an edge the column, or the board, scrolls.
const EDGE = 48;
const STEP = 12;

export type Result = "cancelled" | { over: Over; isDropped: boolean };

/** Where the pointer is. Apart from the rest, so that a move renders one element and no board. */
export const pointer = new Store({ x: 0, y: 0 });

export function follow(start: PointerEvent<HTMLElement>, tell: (result: Result) => void): void {
  const { pointerId, clientX, clientY, pointerType } = start;
  const card = start.currentTarget.dataset.card!;
  const isTouch = pointerType !== "mouse";
  const stop = new AbortController();
  const { signal } = stop;
  let at = { x: clientX, y: clientY };
  let over: Over | null = null;
  const long = isTouch ? setTimeout(() => begin(), LONG_MS) : undefined;
  let scrolling: ReturnType<typeof setInterval> | undefined;

  function begin() {
    navigator.vibrate?.(10);
    scrolling = setInterval(scroll, 16);
    look();
  }

  function look() {
    pointer.set(at);
    const now = overOf(at, card);
    if (!now || (now.status === over?.status && now.before === over.before)) return;
    over = now;
    tell({ over, isDropped: false });
  }

  function scroll() {
    if (scrollAt(at)) look();
  }

  function end(result?: Result) {
    stop.abort();
    clearTimeout(long);
    clearInterval(scrolling);
    if (scrolling !== undefined && result) tell(result);
  }

  const on = <K extends keyof WindowEventMap>(type: K, listener: (e: WindowEventMap[K]) => void) =>
    addEventListener(type, listener, { signal, passive: false });

  on("pointermove", (event) => {
    if (event.pointerId !== pointerId) return;
    at = { x: event.clientX, y: event.clientY };
    if (scrolling !== undefined) return look();
    if (Math.hypot(at.x - clientX, at.y - clientY) < FAR) return;
    if (isTouch) end();
    else begin();
  });
  on("pointerup", () => end(over ? { over, isDropped: true } : "cancelled"));
  on("pointercancel", () => end("cancelled"));
  on("keydown", (event) => {
    if (event.key === "Escape") end("cancelled");
  });
  // While a card is dragged, the page does not scroll with the finger, and selects no text.
  on("touchmove", (event) => scrolling !== undefined && event.preventDefault());
  on("contextmenu", (event) => isTouch && event.preventDefault());
}

/** A card in the page. */
export function elementOf(card: string | undefined): HTMLElement | null {
  return document.querySelector<HTMLElement>(`[data-card="${card}"]`);
}

/** The place below a point: a column, and the card before which it is. */
function overOf({ x, y }: { x: number; y: number }, card: string): Over | null {
  const column = document.elementFromPoint(x, y)?.closest<HTMLElement>("[data-status]");
  if (!column) return null;
  const cards = [...column.querySelectorAll<HTMLElement>("[data-card]")];
  const before = cards.find((other) => {
    const { top, height } = other.getBoundingClientRect();
    return other.dataset.card !== card && y < top + height / 2;
  });
  return { status: column.dataset.status as TaskStatus, before: before?.dataset.card ?? null };
}

/** Scroll what is near the pointer; whether anything moved. */
function scrollAt({ x, y }: { x: number; y: number }): boolean {
  const list = document.elementFromPoint(x, y)?.closest(".column")?.querySelector("ul");
  const board = document.querySelector(".columns");
  let moved = false;
  for (const [element, point, start, size, by] of [
    [list, y, "top", "height", "scrollTop"],
    [board, x, "left", "width", "scrollLeft"],
  ] as const) {
    if (!element) continue;
    const box = element.getBoundingClientRect();
    const before = element[by];
    if (point < box[start] + EDGE) element[by] -= STEP;
    else if (point > box[start] + box[size] - EDGE) element[by] += STEP;
    moved ||= element[by] !== before;
  }
  return moved;
}
