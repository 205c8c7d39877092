/** Where a card goes: for the server, and on the screen until the server has answered. */

import type { TaskPlacementInput, TaskStatus } from "../generated/graphql.ts";
import type { Card } from "./board.ts";

export interface Placed {
  /** For the server; null if the card need not move within the project's order. */
  place: TaskPlacementInput | null;
  /** A position that sorts the card to the same place until the server answers. */
  position: string;
}

/** `items` are all cards of the project, in their order; `before` is null for a column's end. */
export function placeOf(
  items: readonly Card[],
  card: Card,
  status: TaskStatus,
  before: Card | null,
): Placed {
  const others = items.filter(({ id }) => id !== card.id);
  const column = others.filter((other) => other.status === status);
  const index = before ? column.findIndex(({ id }) => id === before.id) : column.length;
  const above = column[index - 1];
  const below = column[index];
  const unmoved = status === card.status && nextOf(items, card) === (below?.id ?? null);
  if (unmoved || (!above && !below)) return { place: null, position: card.position };
  if (above) return { place: { after: above.id }, position: behind(above.position) };
  const previous = others[others.indexOf(below!) - 1];
  return { place: { before: below!.id }, position: behind(previous?.position ?? "") };
}

/** The ID of the next card of the same column. */
function nextOf(items: readonly Card[], card: Card): string | null {
  const column = items.filter(({ status }) => status === card.status);
  return column[column.findIndex(({ id }) => id === card.id) + 1]?.id ?? null;
}

/** The card that an arrow key leads to: in its column, or in the next one that has any. */
export function neighbour(
  items: readonly Card[],
  card: Card,
  arrow: string,
  statuses: readonly TaskStatus[],
): Card | undefined {
  const columnOf = (status: TaskStatus) => items.filter((item) => item.status === status);
  const column = columnOf(card.status);
  const index = column.findIndex(({ id }) => id === card.id);
  if (arrow === "ArrowUp") return column[index - 1];
  if (arrow === "ArrowDown") return column[index + 1];
  const at = statuses.indexOf(card.status);
  const others = arrow === "ArrowRight" ? statuses.slice(at + 1) : statuses.slice(0, at).reverse();
  const next = others.map(columnOf).find(({ length }) => length > 0);
  return next?.[Math.min(index, next.length - 1)];
}

/** Sorts directly behind a position: positions consist of letters and digits, all greater. */
function behind(position: string): string {
  return `${position}!`;
}

/** A new ID: a UUIDv7, whose first 48 bits are the time. */
export function newId(type: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const now = Date.now();
  for (let i = 0; i < 6; i += 1) bytes[i] = Math.floor(now / 2 ** (40 - 8 * i)) & 255;
  bytes[6] = (bytes[6]! & 15) | 0x70;
  bytes[8] = (bytes[8]! & 63) | 0x80;
  return `${type}_${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
