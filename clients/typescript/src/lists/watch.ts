/** A list that reads and follows its events by itself. */

import type { Page } from "../client.ts";
import { CursorExpiredError } from "../errors.ts";
import { type Compare, type Item, type ListEvent, LiveList } from "./live.ts";

/** Where a list comes from; see the README. */
export interface ListSource<T extends Item> {
  /** Reads a page, and `eventCursor` in the same request. */
  read(after: string | null): Promise<Page<T> & { cursor: string }>;
  /** The events from a cursor on. */
  listen(after: string, signal: AbortSignal): AsyncIterable<ListEvent<T>>;
  order?: Compare<T> | undefined;
}

/** Read the first page of a list, and follow it from there. */
export async function watchList<T extends Item>(source: ListSource<T>): Promise<WatchedList<T>> {
  const list = new WatchedList(source);
  await list.refresh();
  return list;
}

/** Made by `watchList`. */
export class WatchedList<T extends Item> extends LiveList<T> {
  /** Why it does not follow any more; null while it does. */
  error: unknown = null;
  #stop = new AbortController();
  // The latest reading of everything; an older one is of no use any more.
  #reading: object | null = null;
  // The events that come while a page is read.
  #meanwhile: ListEvent<T>[] | null = null;
  #loading: Promise<void> | null = null;
  #size = 0;

  constructor(private readonly source: ListSource<T>) {
    super(null, source.order);
  }

  /**
   * Read everything again that was read so far, and follow it from there. Throws if that fails;
   * the list goes on as it was then.
   */
  async refresh(): Promise<void> {
    const reading = (this.#reading = {});
    const first = await this.source.read(null);
    const pages: Page<T>[] = [first];
    let size = first.nodes.length;
    for (let page: Page<T> = first; page.pageInfo.hasNextPage && size < this.#size; ) {
      page = await this.source.read(page.pageInfo.endCursor);
      size += pages.push(page) && page.nodes.length;
    }
    if (this.#reading !== reading) return;
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#size = size;
    this.error = null;
    this.replace(pages);
    void this.#listen(first.cursor, this.#stop.signal);
  }

  /** Read the next page, if there is one. */
  async more(): Promise<void> {
    if (!this.hasNextPage) return;
    this.#loading ??= this.#more().finally(() => (this.#loading = null));
    await this.#loading;
  }

  /** Stop following. */
  close(): void {
    this.#reading = null;
    this.#stop.abort();
  }

  async #more(): Promise<void> {
    const { signal } = this.#stop;
    const meanwhile: ListEvent<T>[] = (this.#meanwhile = []);
    try {
      const page = await this.source.read(this.pageInfo.endCursor);
      if (signal.aborted) return;
      this.#size += page.nodes.length;
      this.append(page, meanwhile);
    } finally {
      this.#meanwhile = null;
    }
  }

  async #listen(after: string, signal: AbortSignal): Promise<void> {
    try {
      for await (const event of this.source.listen(after, signal)) {
        if (signal.aborted) return;
        this.#meanwhile?.push(event);
        this.apply(event);
      }
    } catch (error) {
      if (signal.aborted) return;
      try {
        if (!(error instanceof CursorExpiredError)) throw error;
        await this.refresh();
      } catch (final) {
        this.error = final;
        this.changed();
      }
    }
  }
}
