/** The changes that the server has not answered, in `localStorage`: each by itself, for all pages. */

import type { Change } from "./changes.ts";

export interface Entry extends Change {
  key: string;
  /** Where it is stored. The user may have signed out when it is answered. */
  place: string;
  /** The page that has made it, and sends it as long as it is open. */
  page: string;
  at: number;
  /** How often its author has settled a conflict. */
  settled: number;
  requestId?: string | undefined;
}

/** Where the changes of a user are stored. */
export function placesOf(user: string): string {
  return `taskloom-board:outbox:${user}:`;
}

/** What is stored at a user's places, in the order of their work. */
export function stored(places: string): Entry[] {
  return Object.keys(localStorage)
    .filter((key) => key.startsWith(places))
    .map((key) => JSON.parse(localStorage.getItem(key)!) as Entry)
    .sort((one, other) => one.at - other.at);
}

export function store(entry: Entry): void {
  localStorage.setItem(entry.place, JSON.stringify(entry));
}

export function forget({ place }: Entry): void {
  localStorage.removeItem(place);
}

/** Call a function with what another page stores at a user's places. */
export function watch(places: string, signal: AbortSignal, seen: (entry: Entry) => void): void {
  const changed = ({ key, newValue }: StorageEvent) => {
    if (newValue && key?.startsWith(places)) seen(JSON.parse(newValue) as Entry);
  };
  addEventListener("storage", changed, { signal });
}
