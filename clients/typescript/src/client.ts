/** The client. */

import { type Document, type TypedDocument, type Variables, kindOf, withKey } from "./documents.ts";
import { type Answer, UnavailableError, errorOf, problem, problemsOf } from "./errors.ts";
import {
  EventCursorDocument,
  SignOutDocument,
  UploadFinishDocument,
  type UploadFinishMutation,
  UploadStartDocument,
} from "./generated/graphql.ts";
import { type Fetch, type RequestOptions, post } from "./http.ts";
import { Session } from "./session.ts";
import { type TokenStorage, memoryStorage } from "./storage.ts";
import { type Status, resumed } from "./streams/resume.ts";
import { EventStreams } from "./streams/sse.ts";
import { Socket } from "./streams/websocket.ts";
import { type UploadOptions, send } from "./upload.ts";

// Enough to recognize the events of this client's changes.
const KEPT_REQUEST_IDS = 1000;

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
  transport?: "websocket" | "sse" | undefined;
  onStatus?: ((status: Status) => void) | undefined;
}

/** A page of a list. */
export interface Connection<T> {
  nodes: readonly T[];
  pageInfo: { hasNextPage: boolean; endCursor: string | null };
}

export type Attachment = NonNullable<UploadFinishMutation["attachmentUploadFinish"]["attachment"]>;

/** The variables of a document, which may be left out if none is required. */
type Arguments<V, O> = {} extends V ? [variables?: V, options?: O] : [variables: V, options?: O];
/** What a subscription delivers: the value of its only field. */
type EventOf<R> = 0 extends 1 & R ? any : NonNullable<R[keyof R]>;

/** A connection to a server. */
export class Taskloom {
  readonly #url: string;
  readonly #fetch: Fetch;
  readonly #session: Session;
  readonly #sent = new Set<string>();
  readonly #closing = new AbortController();
  readonly #webSocket: unknown;
  readonly #events: EventStreams;
  #socket: Socket | null = null;

  constructor({ url, key, storage = memoryStorage(), webSocket, fetch }: TaskloomOptions) {
    this.#url = `${url.replace(/\/$/, "")}/graphql`;
    this.#fetch = fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.#webSocket = webSocket ?? globalThis.WebSocket;
    this.#session = new Session(key ?? null, storage, (document, variables) =>
      this.#ask(document, variables as Variables),
    );
    const token = () => this.#session.token();
    this.#events = new EventStreams(this.#fetch, this.#url, token);
    // The open socket belongs to somebody who may be signed out now.
    this.#session.listen(() => this.#socket?.reset());
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
    const isMutation = kindOf(query) === "mutation";
    const keyed = isMutation ? withKey(variables) : { variables, hasKey: true };
    const requestId = options.requestId ?? crypto.randomUUID();
    this.#remember(requestId);
    const body = { query, variables: keyed.variables };
    for (let renewed = false; ; renewed = true) {
      const token = await this.#session.token();
      const call = { ...options, requestId, body, token, repeat: keyed.hasKey };
      const answer = await post(this.#fetch, this.#url, call);
      const isRefused = answer.errors?.some(({ extensions }) => extensions?.code === "UNAUTHENTICATED");
      if (!isRefused || renewed) return answer;
      try {
        await this.#session.renew(token);
      } catch (error) {
        // The session may be good, but the server cannot say so now.
        if (!(error instanceof UnavailableError)) return answer;
        return { errors: [{ message: error.message, extensions: { code: error.code } }] };
      }
    }
  }

  /** The nodes of all pages. `select` finds the list in the data. */
  async *pages<R = any, V extends Variables = Variables, T = any>(
    document: Document<R, V>,
    select: (data: R) => Connection<T>,
    ...[variables, options]: Arguments<V, RequestOptions>
  ): AsyncGenerator<T> {
    let after: string | null = null;
    for (let hasNext = true; hasNext; ) {
      const next = { ...variables, after };
      const answer: Answer<R> = await this.execute(document, next, options);
      const { nodes, pageInfo } = select(dataOf(answer));
      yield* nodes;
      ({ hasNextPage: hasNext, endCursor: after } = pageInfo);
    }
  }

  /** The events of a subscription, through interruptions of every kind. */
  live<R = any, V extends Variables = Variables>(
    document: Document<R, V>,
    ...[variables, options]: Arguments<V, LiveOptions>
  ): AsyncGenerator<EventOf<R>, void, void> {
    const stop = new AbortController();
    const signal = options?.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
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
  async *answers(
    query: string,
    variables: Variables = {},
    { signal, transport, onStatus }: LiveOptions = {},
  ): AsyncGenerator<Answer> {
    // One without cursors, such as `projectPresence`, begins with the present state each time.
    const resumes = /\$after\b/.test(query);
    if (!resumes && /\bcursor\b/.test(query))
      throw new TypeError("The subscription has no variable $after.");
    const ending = AbortSignal.any([this.#closing.signal, ...(signal ? [signal] : [])]);
    const isNew = resumes && variables.after === undefined;
    const after = isNew ? await this.#eventCursor(ending) : variables.after;
    if (ending.aborted) return;
    const useSocket = transport ? transport === "websocket" : Boolean(this.#webSocket);
    const connection = useSocket ? this.#openSocket() : this.#events;
    const body = { query, variables: resumes ? { ...variables, after } : variables };
    yield* resumed(connection, this.#session, body, ending, onStatus);
  }

  /** Attach a file to a task. */
  async upload(task: string, file: Blob, options: UploadOptions = {}): Promise<Attachment> {
    const { signal, name } = options;
    const filename = name ?? (file as File).name ?? "";
    const input = { taskId: task, filename, byteSize: file.size };
    const started = await this.request(UploadStartDocument, { input }, { signal });
    const { id, url } = started.attachmentUploadStart.upload!;
    await send(this.#fetch, url, file, options);
    const finish = { input: { uploadId: id } };
    const done = await this.request(UploadFinishDocument, finish, { signal });
    return done.attachmentUploadFinish.attachment!;
  }

  /** Begin a session. Throws `SignInError` if the login or the password is wrong. */
  async signIn(login: string, password: string, deviceName?: string): Promise<void> {
    await this.#session.signIn(login, password, deviceName);
  }

  /** End the session, here and on the server. */
  async signOut(): Promise<void> {
    await this.execute(SignOutDocument, {}, { attempts: 1 });
    await this.#session.set(null);
  }

  /** Whether there is a key or a session; it may have ended. */
  async isSignedIn(): Promise<boolean> {
    return (await this.#session.token()) !== null;
  }

  /** Call a function with whether one is signed in, when that changes, in any tab. */
  onSession(listener: (signedIn: boolean) => void): () => void {
    return this.#session.listen(listener);
  }

  /** Whether an event is of a request that this client has sent. */
  isEcho(event: { requestId?: string | null | undefined }): boolean {
    return this.#sent.has(event.requestId ?? "");
  }

  /** End all live streams. */
  close(): void {
    this.#closing.abort();
    this.#session.close();
  }

  async #eventCursor(signal: AbortSignal): Promise<string | null> {
    try {
      return (await this.request(EventCursorDocument, {}, { signal })).eventCursor;
    } catch (error) {
      if (signal.aborted) return null;
      throw error;
    }
  }

  #openSocket(): Socket {
    if (!this.#webSocket) throw new TypeError("There is no WebSocket here: pass one as webSocket.");
    this.#socket ??= new Socket(this.#url, this.#webSocket, () => this.#session.token());
    return this.#socket;
  }

  /** Send a mutation without credentials; it may be repeated. */
  async #ask<R, V>(document: TypedDocument<R, V>, variables: Variables): Promise<R> {
    const body = { query: document.toString(), variables };
    return dataOf(await post(this.#fetch, this.#url, { body, token: null, repeat: true }));
  }

  #remember(requestId: string): void {
    this.#sent.add(requestId);
    const [oldest] = this.#sent;
    if (this.#sent.size > KEPT_REQUEST_IDS && oldest !== undefined) this.#sent.delete(oldest);
  }
}

function dataOf<R>(answer: Answer<R>): R {
  const problems = problemsOf(answer);
  if (problems.length) throw errorOf(problems, answer.data);
  if (!answer.data) throw problem("INTERNAL_SERVER_ERROR", "The answer has no data.");
  return answer.data;
}
