/** Where the tokens of a session are kept. */

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

/** In `localStorage`, for all tabs of this origin. */
export function browserStorage(name = "taskloom"): TokenStorage {
  return {
    name,
    read() {
      try {
        return JSON.parse(localStorage.getItem(name) ?? "null") as Tokens | null;
      } catch {
        return null;
      }
    },
    write(tokens) {
      if (tokens === null) localStorage.removeItem(name);
      else localStorage.setItem(name, JSON.stringify(tokens));
    },
  };
}
