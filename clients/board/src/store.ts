/** A value that components follow: the whole state management of this application. */

import {
  useCallback,
  useEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";

export class Store<T> {
  #value: T;
  readonly #listeners = new Set<() => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    this.#value = value;
    for (const listener of this.#listeners) listener();
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };
}

export function useStore<T>(store: Store<T>): T {
  return useSyncExternalStore(store.subscribe, () => store.value);
}

/** Says in the window's title, and so in the list of tabs, what the page shows. */
export function useTitle(what: string | null | undefined): void {
  useEffect(() => {
    if (what) document.title = `${what} · Taskloom`;
  }, [what]);
}

/** Whether a media query holds. */
export function useMedia(query: string): boolean {
  const media = useMemo(() => matchMedia(query), [query]);
  const listen = useCallback(
    (listener: () => void) => {
      media.addEventListener("change", listener);
      return () => media.removeEventListener("change", listener);
    },
    [media],
  );
  return useSyncExternalStore(listen, () => media.matches);
}

/** Whether the component is still in the page. */
export function useShown(): { readonly current: boolean } {
  const shown = useRef(false);
  useEffect(() => {
    shown.current = true;
    return () => void (shown.current = false);
  }, []);
  return shown;
}

export interface Loaded<T> {
  data: T | null;
  error: unknown;
  reload: () => void;
}

/** What `load` returns, loaded again when `key` changes. Of several loads the last one counts. */
export function useLoaded<T>(key: string, load: () => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ key: string; data: T | null; error: unknown }>();
  const latest = useRef(0);
  const reload = useCallback(() => {
    const number = (latest.current += 1);
    const settle = (data: T | null, error: unknown) =>
      number === latest.current && setState({ key, data, error });
    load().then(
      (data) => settle(data, null),
      (error: unknown) => settle(null, error),
    );
    // `load` is what `key` says.
  }, [key]);
  useEffect(() => {
    reload();
    return () => void (latest.current += 1);
  }, [reload]);
  // What was loaded for another key is not shown for this one.
  const shown = state?.key === key ? state : null;
  return { data: shown?.data ?? null, error: shown?.error ?? null, reload };
}
