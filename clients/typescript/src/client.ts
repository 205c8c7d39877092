/** The client. */

import { type Document, type Variables, kindOf, withKey } from "./documents.ts";
import { type Answer, SignInError, TaskloomError, dataOf } from "./errors.ts";
import * as operations from "./generated/graphql.ts";
import { type Fetch, type RequestOptions, either, post } from "./http.ts";
import { randomId } from "./random.ts";
import { Session } from "./session.ts";
import { type TokenStorage, memoryStorage } from "./storage.ts";
import { type Status, resumed } from "./streams/resume.ts";
import { EventStreams } from "./streams/sse.ts";
import { Socket } from "./streams/websocket.ts";
import { type UploadOptions, send } from "./upload.ts";

export interface TaskloomOptions {
  /** The server's address, without `/graphql`; `""` in a page of the server itself. */
  url: string;
  /** An API key. */
  key?: string | undefined;
  /** Where the tokens of a session are kept; in memory by default. */
  storage?: TokenStorage | undefined;
  /** The class to use if there is no global `WebSocket`. */
  webSocket?: unknown;
  fetch?: Fetch | undefined;
}

export interface LiveOptions {
  /** Ends the iterator. */
  signal?: AbortSignal | undefined;
  /** A WebSocket, if there is one, by default. */
  transport?: "websocket" | "sse" | undefined;
  onStatus?: ((status: Status) => void) | undefined;
}

/** A page of a list. */
export interface Page<T> {
  nodes: readonly T[];
  pageInfo: { hasNextPage: boolean; endCursor: string | null };
}

export type Attachment = NonNullable<
  operations.UploadFinishMutation["attachmentUploadFinish"]["attachment"]
>;

/** The variables of a document, which may be left out if none is required, and options. */
type Arguments<V, O> = {} extends V ? [variables?: V, options?: O] : [variables: V, options?: O];
/** What a subscription delivers: the value of its only field. */
type EventOf<R> = 0 extends 1 & R ? any : NonNullable<R[keyof R]>;

/** A connection to a server. */
export class Taskloom {
  readonly #url: string;
  readonly #fetch: Fetch;
  readonly #session: Session;
  readonly #closing = new AbortController();
  readonly #streams: EventStreams;
  readonly #socket: Socket | null;

  constructor({ url, key, storage, webSocket, fetch }: TaskloomOptions) {
    this.#url = `${url.replace(/\/$/, "")}/graphql`;
    this.#fetch = fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.#streams = new EventStreams(this.#fetch, this.#url);
    const ask = async <R, V>(document: Document<R, V>, variables: V, attempts?: number) => {
      const body = { query: document.toString(), variables: variables as Variables };
      const call = { body, token: null, mayRepeat: true, attempts };
      return dataOf<R>(await post(this.#fetch, this.#url, call));
    };
    this.#session = new Session(key ?? null, storage ?? memoryStorage(), ask);
    const implementation = webSocket ?? globalThis.WebSocket;
    this.#socket = implementation ? new Socket(this.#url, implementation, this.#session) : null;
    // What is open belongs to somebody who may be signed out now.
    this.#session.listeners.add(() => (this.#socket?.reset(), this.#streams.reset()));
  }

  /** The data of a query or mutation. Throws a `TaskloomError` for errors of every kind. */
  async request<R = any, V extends Variables = Variables>(
    document: Document<R, V>,
    ...[variables, options]: Arguments<V, RequestOptions>
  ): Promise<R> {
    return dataOf(await this.execute<R>(document, variables, options));
  }

  /** The answer to a query or mutation, as it came. Throws only if it is aborted. */
  async execute<R = any>(
    document: Document<R, any>,
    variables: Variables = {},
    options: RequestOptions = {},
  ): Promise<Answer<R>> {
    const query = document.toString();
    // What is tried once needs no key, which the server would keep for a day.
    const isKeyed = kindOf(query) === "mutation" && options.attempts !== 1;
    const keyed = isKeyed ? withKey(variables) : variables;
    const requestId = options.requestId ?? randomId();
    const body = { query, variables: keyed ?? variables };
    const call = { ...options, requestId, body, mayRepeat: keyed !== null };
    const { changes } = this.#session;
    for (let isRenewed = false; ; isRenewed = true) {
      const token = await this.#session.token();
      const answer: Answer<R> = await post(this.#fetch, this.#url, { ...call, token });
      const codes = answer.errors?.map(({ extensions }) => extensions?.code) ?? [];
      if (isRenewed || !codes.includes("UNAUTHENTICATED")) return answer;
      try {
        await this.#session.renew(token);
      } catch (error) {
        // The session may be good, but the server cannot say so now.
        if (!(error instanceof TaskloomError) || error instanceof SignInError) return answer;
        const { message, code, retryAfter } = error;
        return { errors: [{ message, extensions: { code, retryAfter: retryAfter ?? undefined } }] };
      }
      if (this.#session.changes !== changes) return answer;
    }
  }

  /** The nodes of all pages. `select` finds the list in the data. */
  async *pages<R = any, V extends Variables = Variables, T = any>(
    document: Document<R, V>,
    select: (data: R) => Page<T>,
    ...[variables, options]: Arguments<V, RequestOptions>
  ): AsyncGenerator<T> {
    const { after = null } = (variables ?? {}) as { after?: string | null };
    let pageInfo: Page<T>["pageInfo"] = { hasNextPage: true, endCursor: after };
    while (pageInfo.hasNextPage) {
      const next = { ...variables, after: pageInfo.endCursor };
      const page = select(dataOf(await this.execute<R>(document, next, options)));
      yield* page.nodes;
      pageInfo = page.pageInfo;
    }
  }

  /** The events of a subscription, through interruptions of every kind. */
  live<R = any, V extends Variables = Variables>(
    document: Document<R, V>,
    ...[variables, options]: Arguments<V, LiveOptions>
  ): AsyncGenerator<EventOf<R>, void, void> {
    const stop = new AbortController();
    const signal = either(stop.signal, options?.signal);
    const answers = this.answers(document.toString(), variables, { ...options, signal });
    const events = (async function* () {
      for await (const answer of answers) yield Object.values(dataOf(answer))[0] as EventOf<R>;
    })();
    // Also while somebody waits for the next event.
    const end = events.return.bind(events);
    events.return = (value) => (stop.abort(), end(value));
    return events;
  }

  /** The answers of a subscription, as they come: what `live` and the adapters use. */
  answers(query: string, variables: Variables = {}, options: LiveOptions = {}) {
    const [hasAfter, hasCursor] = [/\$after\b/.test(query), /\bcursor\b/.test(query)];
    if (hasAfter !== hasCursor)
      throw new TypeError("To resume, a subscription has a variable $after and selects cursor.");
    const used = (options.transport === "sse" ? null : this.#socket) ?? this.#streams;
    const signal = either(this.#closing.signal, options.signal);
    // Without a cursor, this one begins with the state as it is.
    const hasState = /\breportExportChanged\b/.test(query);
    const first = hasAfter ? async () => (hasState ? null : this.#now(signal)) : null;
    return resumed(used, this.#session, query, variables, signal, first, options.onStatus);
  }

  async #now(signal: AbortSignal): Promise<string | null> {
    try {
      return (await this.request(operations.EventCursorDocument, {}, { signal })).eventCursor;
    } catch (error) {
      // A key may be allowed to see its timer and no other events.
      if (error instanceof TaskloomError && error.code === "FORBIDDEN") return null;
      throw error;
    }
  }

  /** Attach a file to a task. */
  async upload(taskId: string, file: Blob, options: UploadOptions = {}): Promise<Attachment> {
    const { signal, name = (file as File).name ?? "" } = options;
    const input = { taskId, filename: name, byteSize: file.size };
    const started = await this.request(operations.UploadStartDocument, { input }, { signal });
    const { id, url } = started.attachmentUploadStart.upload!;
    await send(url, file, options, this.#fetch);
    const finish = { input: { uploadId: id } };
    const done = await this.request(operations.UploadFinishDocument, finish, { signal });
    return done.attachmentUploadFinish.attachment!;
  }

  /** Begin a session. Throws `SignInError` if the login or the password is wrong. */
  async signIn(login: string, password: string, deviceName?: string): Promise<void> {
    await this.#session.signIn(login, password, deviceName);
  }

  /** End the session, here and on the server. */
  async signOut(): Promise<void> {
    await this.execute(operations.SignOutDocument, {}, { attempts: 1 });
    await this.#session.set(null);
  }

  /** Whether there is a key or a session; it may have ended. */
  async isSignedIn(): Promise<boolean> {
    return (await this.#session.token()) !== null;
  }

  /** Call a function with whether one is signed in, when that changes, in any tab. */
  onSession(listener: (signedIn: boolean) => void): () => void {
    this.#session.listeners.add(listener);
    return () => void this.#session.listeners.delete(listener);
  }

  /** End all live streams. */
  close(): void {
    this.#closing.abort();
    this.#session.close();
  }
}
