/** Where the tokens of a session are kept. */

import { createStore, get, set } from "idb-keyval";

/** The tokens of a session. */
export interface Tokens {
  accessToken: string;
  refreshToken: string;
  accessTokenExpiresAt?: string | null | undefined;
}

/**
 * Keeps the tokens, which change at each renewal. Those who share a session give it one `name`: it
 * names the lock and the channel between tabs.
 */
export interface TokenStorage {
  readonly name?: string;
  read(): Tokens | null | Promise<Tokens | null>;
  write(tokens: Tokens | null): void | Promise<void>;
}

/** For as long as the program runs. */
export function memoryStorage(tokens: Tokens | null = null): TokenStorage {
  return { read: () => tokens, write: (next) => void (tokens = next) };
}

/**
 * In IndexedDB, for all tabs of this origin. A tab that reads after another one has written sees
 * what it wrote; with `localStorage` it would be some milliseconds late, and renew a second time.
 */
export function browserStorage(name = "taskloom"): TokenStorage {
  const store = createStore(`taskloom:${name}`, KEY);
  return {
    name,
    read: async () => (await get<Tokens | null>(KEY, store)) ?? null,
    write: (tokens) => set(KEY, tokens, store),
  };
}

const KEY = "tokens";
