/**
 * Changes on their way to the server.
 *
 * A change is kept in `localStorage` until the server has answered it, and sent in the order of the
 * user's work: again after a lost connection, after a reload of the page, and after a night with the
 * laptop closed. Its idempotency key makes sure that it is done once, however often it is sent.
 */

import { ConflictError, SignInError } from "@taskloom/client";
import { api } from "./api.ts";
import { type Change, DOCUMENTS, textChange, wordsOf } from "./changes.ts";
import { type Entry, forget, placesOf, store, stored, watch } from "./entries.ts";
import { dismiss, settle } from "./parts/conflict.tsx";
import { refused } from "./parts/refused.tsx";
import { newId } from "./project/places.ts";
import { passes, pause } from "./retry.ts";
import { Store } from "./store.ts";
import { PAGE, whenGone } from "./tabs.ts";

type Answer = PromiseWithResolvers<any>;
type LeftOver = (change: Change, done: Promise<any>) => void;

class Outbox {
  /** The changes that the server has not answered, and whether it can be reached. */
  readonly state = new Store({ count: 0, reachable: true });
  /** Where those of the user are stored. */
  #places: string | null = null;
  #entries: Entry[] = [];
  #stop = new AbortController();
  readonly #answers = new Map<string, Answer>();
  // The keys of those whose authors are asked about a conflict; they stay stored meanwhile.
  readonly #asked = new Set<string>();
  readonly #watched = new Set<string>();
  readonly #listeners = new Set<LeftOver>();
  #running = false;

  /** Go on with the changes of a user that this page had, and with those of pages that are gone. */
  open(user: string): void {
    const places = placesOf(user);
    if (places !== this.#places) {
      // What somebody else was asked is asked again when they return.
      dismiss();
      this.#asked.clear();
    }
    this.#places = places;
    this.#entries = [];
    const { signal } = (this.#stop = new AbortController());
    this.#take(PAGE);
    const seen = ({ page }: Entry) => void this.#goOnFor(page, signal);
    stored(places).forEach(seen);
    watch(places, signal, seen);
  }

  /** Stop; what was not sent stays for the next time, as does what the same user still sends. */
  close(): void {
    this.#stop.abort();
    this.#entries = [];
    this.#counted();
  }

  /** Send a change. Resolves with the payload's object, once the server has answered. */
  send(change: Change, requestId?: string): Promise<any> {
    const key = newId("change");
    const place = `${this.#places}${key}`;
    const entry = { ...change, key, place, page: PAGE, at: Date.now(), settled: 0, requestId };
    this.#add(entry);
    return this.#answer(entry).promise;
  }

  /** How many changes of the user wait, in all pages. */
  readonly waiting = () => (this.#places ? stored(this.#places).length : 0);

  /**
   * Call a function with each change under way, and what becomes of it: now, and with those that
   * other pages leave. Returns a function that ends it.
   */
  leftOver(listener: LeftOver): () => void {
    for (const entry of this.#entries) listener(entry, this.#answer(entry).promise);
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async #goOnFor(page: string, signal: AbortSignal): Promise<void> {
    if (page === PAGE || this.#watched.has(page)) return;
    this.#watched.add(page);
    const closed = new Promise((resolve) => signal.addEventListener("abort", resolve));
    await whenGone(page, signal, async () => {
      const answers = signal.aborted ? [] : this.#take(page);
      await Promise.race([closed, Promise.allSettled(answers)]);
    });
    this.#watched.delete(page);
  }

  #take(page: string): Promise<any>[] {
    const taken = stored(this.#places!).filter((one) => one.page === page && !this.#asked.has(one.key));
    this.#entries.push(...taken);
    const answers = taken.map((entry) => this.#answer(entry).promise);
    for (const listener of this.#listeners)
      taken.forEach((entry, index) => listener(entry, answers[index]!));
    this.#counted();
    void this.#run();
    return answers;
  }

  #answer({ key }: Entry): Answer {
    const known = this.#answers.get(key);
    if (known) return known;
    const made: Answer = Promise.withResolvers();
    // Not everybody waits for it.
    made.promise.catch(() => {});
    this.#answers.set(key, made);
    return made;
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    for (let failures = 0, entry; (entry = this.#entries[0]); ) {
      try {
        const object = await this.#sent(entry);
        failures = 0;
        this.#follow(entry, object);
        this.#done(entry).resolve(object);
      } catch (error) {
        // Signed out: they are sent after the next sign-in.
        if (error instanceof SignInError) break;
        if (passes(error)) {
          this.state.set({ ...this.state.value, reachable: false });
          await pause(failures++);
          continue;
        }
        if (error instanceof ConflictError && error.current && entry.text)
          void this.#ask(entry, error.current);
        else {
          // Nobody here waits for it.
          if (entry.page !== PAGE) refused(wordsOf(entry), error);
          this.#done(entry).reject(error);
        }
      }
      this.state.set({ ...this.state.value, reachable: true });
    }
    this.#running = false;
  }

  async #sent({ kind, input, key, settled, requestId }: Entry): Promise<any> {
    const variables: any = { input: { ...input, idempotencyKey: `${key}.${settled}` } };
    const data = await api.request<any, any>(DOCUMENTS[kind], variables, { requestId, attempts: 1 });
    const payload: any = Object.values(data)[0];
    return payload.task ?? payload.comment;
  }

  /** Ask the author of a text that somebody else has changed. Other changes go on meanwhile. */
  async #ask(entry: Entry, current: any): Promise<void> {
    this.#asked.add(entry.key);
    this.#leave(entry);
    const next = await settle(entry.text!, current);
    this.#asked.delete(entry.key);
    if (!next) return this.#done(entry).resolve(current);
    this.#add({ ...entry, ...textChange(entry.task, next), settled: entry.settled + 1 });
  }

  /** What was changed on top of a change is meant for the version that this one has made. */
  #follow({ task }: Entry, object: { version?: number } | null): void {
    const version = object?.version ?? 0;
    for (const later of this.#entries)
      if (later.task === task && later.input.ifVersion === version - 1) {
        later.input.ifVersion = version;
        store(later);
      }
  }

  #add(entry: Entry): void {
    this.#entries.push(entry);
    store(entry);
    this.#counted();
    void this.#run();
  }

  /** Take it off the queue. */
  #leave(entry: Entry): void {
    this.#entries = this.#entries.filter(({ key }) => key !== entry.key);
    this.#counted();
  }

  /** Delete it. Returns what waits for its answer, to be told. */
  #done(entry: Entry): Answer {
    const answer = this.#answer(entry);
    this.#leave(entry);
    forget(entry);
    this.#answers.delete(entry.key);
    return answer;
  }

  #counted(): void {
    this.state.set({ ...this.state.value, count: this.#entries.length });
  }
}

export const outbox = new Outbox();
