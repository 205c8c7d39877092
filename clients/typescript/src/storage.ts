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

/**
 * In IndexedDB, for all tabs of this origin. A tab that reads after another one has written sees
 * what it wrote; with `localStorage` it would be some milliseconds late, and renew a second time.
 */
export function browserStorage(name = "taskloom"): TokenStorage {
  let opened: Promise<IDBDatabase> | null = null;

  const open = () =>
    new Promise<IDBDatabase>((resolve, reject) => {
      const request = indexedDB.open(`taskloom:${name}`);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE);
      request.onerror = () => {
        opened = null;
        reject(request.error);
      };
      request.onsuccess = () => {
        const database = request.result;
        // Such as when the user deletes the site's data.
        database.onclose = () => (opened = null);
        database.onversionchange = () => {
          database.close();
          opened = null;
        };
        resolve(database);
      };
    });

  async function stored<T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest<T>) {
    const database = await (opened ??= open());
    return new Promise<T>((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const request = act(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  }

  return {
    name,
    async read() {
      const found = await stored("readonly", (store) => store.get(STORE));
      return (found as Tokens | undefined) ?? null;
    },
    async write(tokens) {
      await stored("readwrite", (store) => store.put(tokens, STORE));
    },
  };
}

const STORE = "tokens";
