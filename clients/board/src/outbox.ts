/**
 * Changes on their way to the server.
 *
 * A change is kept in `localStorage` until the server has answered it, and sent in the order of the
 * user's work: again after a lost connection, after a reload of the page, and after a night with the
 * laptop closed. Its idempotency key makes sure that it is done once, however often it is sent.
 */

import { SignInError, TaskloomError, UnavailableError } from "@taskloom/client";
import { api, connected } from "./api.ts";
import { type Change, DOCUMENTS, textChange } from "./changes.ts";
import { type Text, sendText } from "./parts/conflict.tsx";
import { failed, say, textOf } from "./parts/messages.tsx";
import { newId } from "./project/places.ts";
import { Store } from "./store.ts";

const RETRY_MS = [500, 1_000, 2_000, 5_000];

interface Entry extends Change {
  key: string;
  /** Where it is stored. The user may have signed out when it is answered. */
  place: string;
  at: number;
  requestId?: string;
}

interface Answer {
  promise: Promise<any>;
  resolve: (object: any) => void;
  reject: (error: unknown) => void;
}

class Outbox {
  /** The changes that the server has not answered, and whether it can be reached. */
  readonly state = new Store({ count: 0, reachable: true });
  // Of what is stored, by user; each change by itself, since several tabs may have some.
  #prefix: string | null = null;
  #entries: Entry[] = [];
  readonly #answers = new Map<string, Answer>();
  // The keys of those that were sent by this page; their callers are told the results.
  readonly #sentHere = new Set<string>();
  #running = false;

  /**
   * Go on with the changes of a user, from before the page was loaded. If they are those of another
   * tab, both send them, and they are done once.
   */
  open(user: string): void {
    const prefix = (this.#prefix = `taskloom-board:outbox:${user}:`);
    this.#entries = Object.keys(localStorage)
      .filter((key) => key.startsWith(prefix))
      .map((key) => JSON.parse(localStorage.getItem(key)!) as Entry)
      .sort((one, other) => one.at - other.at);
    this.#counted();
    void this.#run();
  }

  /** Stop; what was not sent stays for the next time, as does what the same user still sends. */
  close(): void {
    this.#entries = [];
    this.#counted();
  }

  /** Send a change. Resolves with the payload's object, once the server has answered. */
  send(change: Change, requestId?: string): Promise<any> {
    const key = newId("change");
    const place = `${this.#prefix}${key}`;
    const entry = { ...change, key, place, at: Date.now(), ...(requestId && { requestId }) };
    this.#entries.push(entry);
    this.#sentHere.add(key);
    this.#save(entry);
    this.#counted();
    void this.#run();
    return this.#answer(entry).promise;
  }

  /** The changes under way, some from before the page was loaded, and what becomes of them. */
  leftOver(wanted: (change: Change) => boolean): { change: Change; done: Promise<any> }[] {
    return this.#entries
      .filter(wanted)
      .map((entry) => ({ change: entry, done: this.#answer(entry).promise }));
  }

  #answer({ key }: Entry): Answer {
    const known = this.#answers.get(key);
    if (known) return known;
    const made = {} as Answer;
    made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
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
        this.#remove(entry);
        this.#follow(entry, object);
        this.#answers.get(entry.key)?.resolve(object);
      } catch (error) {
        // Signed out: they are sent after the next sign-in.
        if (error instanceof SignInError) break;
        if (passes(error)) {
          this.state.set({ ...this.state.value, reachable: false });
          await pause(failures++);
          continue;
        }
        this.#remove(entry);
        this.#answers.get(entry.key)?.reject(error);
        if (!this.#sentHere.has(entry.key)) this.#refused(entry, error);
      }
      this.#answers.delete(entry.key);
      this.#sentHere.delete(entry.key);
      this.state.set({ ...this.state.value, reachable: true });
    }
    this.#running = false;
  }

  async #sent({ kind, input, key, requestId }: Entry): Promise<any> {
    const variables: any = { input: { ...input, idempotencyKey: key } };
    const data = await api.request<any, any>(DOCUMENTS[kind], variables, { requestId, attempts: 1 });
    const payload: any = Object.values(data)[0];
    return payload.task ?? payload.comment;
  }

  /** A change from before the page was loaded was refused: its author's words are not lost. */
  #refused({ kind, task, input, text }: Entry, error: unknown): void {
    const send = (next: Text) => this.send(textChange(task, next));
    if (text) sendText(text, send, Promise.reject(error)).catch(failed);
    else if (kind === "comment") say(`${textOf(error)} Your comment was: “${input.body}”`);
    else failed(error);
  }

  /** What was changed on top of a change is meant for the version that this one has made. */
  #follow({ task }: Entry, object: { version?: number } | null): void {
    const version = object?.version ?? 0;
    for (const later of this.#entries)
      if (later.task === task && later.input.ifVersion === version - 1) {
        later.input.ifVersion = version;
        this.#save(later);
      }
  }

  #remove(entry: Entry): void {
    this.#entries = this.#entries.filter(({ key }) => key !== entry.key);
    localStorage.removeItem(entry.place);
    this.#counted();
  }

  #save(entry: Entry): void {
    localStorage.setItem(entry.place, JSON.stringify(entry));
  }

  #counted(): void {
    this.state.set({ ...this.state.value, count: this.#entries.length });
  }
}

export const outbox = new Outbox();

function passes(error: unknown): boolean {
  return (
    error instanceof UnavailableError ||
    (error instanceof TaskloomError && error.code === "RATE_LIMITED")
  );
}

/** Wait a little longer each time, but no longer than until the server can be reached again. */
function pause(failures: number): Promise<void> {
  const ms = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]!;
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    const stop = connected.subscribe(() => connected.value && done());
    addEventListener("online", done);
    function done() {
      clearTimeout(timer);
      stop();
      removeEventListener("online", done);
      resolve();
    }
  });
}
