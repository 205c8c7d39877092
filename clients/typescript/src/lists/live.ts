/** A list that follows events, and shows changes before the server has made them. */

import type { Page } from "../client.ts";
import { ConflictError } from "../errors.ts";
import { randomId } from "../random.ts";

/** What every node selects. */
export interface Item {
  id: string;
  version: number;
}

/** Compares two nodes in the order of the list: `orderBy`. */
export type Compare<T> = (one: T, other: T) => number;

/** What every event selects. */
export interface ListEvent<T> {
  kind: string;
  matches: boolean;
  subjectId: string | null;
  requestId?: string | null | undefined;
  task: T | null;
}

/** A change that the server has not made yet. `values`: null hides the node. */
interface Edit<T> {
  readonly id: string;
  readonly values: Partial<T> | null;
  readonly requestId: string;
  readonly isNew: boolean;
}

/**
 * The pages of a list that were read so far. `order` compares two nodes as the list does
 * (`orderBy`); without it, new nodes come last.
 *
 * A node that belongs behind the last page read is not in the list, even if an event brings it:
 * between the two there may be others, which were not read.
 */
export class LiveList<T extends Item> {
  /** Of the last page. */
  pageInfo: Page<T>["pageInfo"] = { hasNextPage: false, endCursor: null };
  readonly #nodes = new Map<string, T>();
  readonly #edits = new Set<Edit<T>>();
  readonly #listeners = new Set<() => void>();
  // The versions at which nodes left, so that an older answer does not bring them back.
  readonly #gone = new Map<string, number>();
  #last: T | null = null;
  #items: readonly T[] | null = null;

  constructor(
    page: Page<T> | null = null,
    private readonly order: Compare<T> | null = null,
  ) {
    if (page) this.append(page);
  }

  /** The nodes in order, with changes under way; the same array until something changes. */
  get items(): readonly T[] {
    this.#items ??= this.#shown();
    return this.#items;
  }

  get hasNextPage(): boolean {
    return this.pageInfo.hasNextPage;
  }

  /** Call a function after each change. Bound, to be passed on as it is. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  /** Take over the next page, and again the events that have come while it was read. */
  append({ nodes, pageInfo }: Page<T>, meanwhile: Iterable<ListEvent<T>> = []): void {
    this.pageInfo = pageInfo;
    this.#last = nodes.at(-1) ?? this.#last;
    for (const node of nodes) this.#take(node);
    for (const event of meanwhile) this.#follow(event);
    this.changed();
  }

  /** Begin anew with other pages. Changes under way stay. */
  replace(pages: readonly Page<T>[]): void {
    this.#nodes.clear();
    this.#gone.clear();
    this.#last = null;
    for (const page of pages) this.append(page);
  }

  /** Follow an event. */
  apply(event: ListEvent<T>): void {
    const { task, subjectId, requestId } = event;
    const hasChanged = this.#follow(event);
    const echoed = [...this.#edits].find(
      (edit) => edit.requestId === requestId && (edit.isNew || edit.id === (task?.id ?? subjectId)),
    );
    if (echoed) this.#edits.delete(echoed);
    if (hasChanged || echoed) this.changed();
  }

  /** Take over a node from the answer to a mutation. */
  put(node: T): void {
    if (this.#set(node)) this.changed();
  }

  /** Show `values` at once, and `send` the change; see the README. */
  async change(
    id: string,
    values: Partial<T> | null,
    send: (requestId: string) => Promise<T | null | undefined | void>,
  ): Promise<T | null> {
    const edit = { id, values, requestId: randomId(), isNew: !this.#nodes.has(id) };
    this.#edits.add(edit);
    this.changed();
    try {
      const node = await send(edit.requestId);
      if (values === null) this.#remove(id, node?.version ?? Infinity);
      else if (node) this.#set(node);
      return node ?? null;
    } catch (error) {
      const current: T | null = error instanceof ConflictError ? error.current : null;
      if (current) this.#set(current);
      throw error;
    } finally {
      this.#edits.delete(edit);
      this.changed();
    }
  }

  /** Tell the listeners. */
  protected changed(): void {
    this.#items = null;
    for (const listener of this.#listeners) listener();
  }

  #shown(): T[] {
    const shown = new Map(this.#nodes);
    for (const { id, values, isNew } of this.#edits) {
      const node = shown.get(id);
      if (values === null) shown.delete(id);
      else if (node || isNew) shown.set(id, { ...node, ...values } as T);
    }
    const nodes = [...shown.values()];
    return this.order ? nodes.sort(this.order) : nodes;
  }

  #follow({ task, matches, kind, subjectId }: ListEvent<T>): boolean {
    if (task && matches) return this.#take(task);
    const ids = [task?.id ?? subjectId ?? ""];
    if (kind === "ACCESS_LOST")
      for (const node of this.#nodes.values())
        if ((node as { project?: { id?: string } }).project?.id === subjectId) ids.push(node.id);
    return ids.filter((id) => this.#remove(id, task?.version ?? Infinity)).length > 0;
  }

  /** Take over a node that is in the list now: it may have come back. */
  #take(node: T): boolean {
    const gone = this.#gone.get(node.id) ?? -1;
    if (gone === Infinity || gone <= node.version) this.#gone.delete(node.id);
    return this.#set(node);
  }

  /** Take over the state of a node, unless a newer one is known. */
  #set(node: T): boolean {
    const known = this.#nodes.get(node.id);
    const left = this.#gone.get(node.id);
    if (left !== undefined && left >= node.version) return false;
    if (known && known.version > node.version) return false;
    if (this.hasNextPage && this.#last && this.order && this.order(node, this.#last) > 0)
      return this.#nodes.delete(node.id);
    if (JSON.stringify(known) === JSON.stringify(node)) return false;
    this.#nodes.set(node.id, node);
    return true;
  }

  #remove(id: string, version: number): boolean {
    this.#gone.set(id, version);
    return this.#nodes.delete(id);
  }
}
