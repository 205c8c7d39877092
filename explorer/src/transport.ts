/**
 * How operations reach the server: queries and mutations by POST, subscriptions over one
 * `graphql-transport-ws` socket, all of them signed with the session's token.
 *
 * An `Authorization` in GraphiQL's own Headers pane wins over the session, on both ways: that is
 * how an API key is tried out while somebody is signed in.
 *
 * While a subscription is open the tokens are renewed over its socket, which makes the server
 * renew the subscription with them; it goes on without a gap. When somebody else signs in, the
 * socket is closed, and what was running on it starts again as the new person.
 */
import type { Fetcher, FetcherParams, Observable } from "@graphiql/toolkit";
import { OperationTypeNode, parse, type ExecutionResult, type GraphQLError } from "graphql";
import { CloseCode, createClient, type Client, type SubscribePayload } from "graphql-ws";
import { EXPLAIN } from "./explain";
import { isUnauthenticated, operationOf, ownAuthorization, post, type Headers, type Operation } from "./graphql";
import { codesOf, costOf, NOT_YET, type Cost, type Run } from "./run";
import { Session } from "./session";
import { Store } from "./store";

export class Transport {
  readonly session: Session;
  readonly url: string;
  readonly #socket: Client;
  #socketIsOpen = false;
  /** When a running subscription was last stopped, in milliseconds of `performance.now()`. */
  stoppedAt = -Infinity;
  /** The latest answer; `NOT_YET` while an operation runs. */
  readonly run = new Store<Run>(NOT_YET);

  constructor(endpoint: string) {
    this.url = new URL(endpoint, document.baseURI).href;
    this.session = new Session((operation, token) => this.#send(operation, token));
    this.#socket = openSocket(this.url, async () => {
      const token = await this.session.accessToken();
      return token && `Bearer ${token}`;
    });
    this.#socket.on("connected", () => (this.#socketIsOpen = true));
    this.#socket.on("closed", (event) => {
      this.#socketIsOpen = false;
      // The token of this socket is invalid; the next attempt takes a new one.
      if ((event as CloseEvent).code === CloseCode.Forbidden) void this.session.renew();
    });
    let username = this.session.view().username;
    this.session.subscribe(() => {
      const now = this.session.view().username;
      if (now !== username && this.#socketIsOpen) this.#socket.terminate();
      username = now;
    });
  }

  /** What GraphiQL calls for every operation that it runs, its introspection too. */
  readonly fetcher: Fetcher = (parameters, options) => {
    const headers = (options?.headers ?? {}) as Headers;
    const { operation, isSubscription } = settle(parameters);
    if (operation.operationName === "IntrospectionQuery") return this.#overHttp(operation, headers).catch(asResult);
    this.run.set(NOT_YET);
    if (isSubscription) return this.#overSocket(operation, headers);
    operation.extensions = EXPLAIN.extensions();
    const sentAt = performance.now();
    return this.#overHttp(operation, headers).then(
      (result) => EXPLAIN.take(this.#note(result, performance.now() - sentAt)),
      asResult,
    );
  };

  /** What an operation would cost, without running it; null if the server refuses it. */
  async estimate(operation: Operation, headers: Headers, signal: AbortSignal): Promise<Cost | null> {
    const asked = { ...operation, extensions: { costOnly: true } };
    return costOf(await this.#overHttp(asked, headers, signal));
  }

  #note(result: ExecutionResult, milliseconds: number | null): ExecutionResult {
    this.run.set({ cost: costOf(result), milliseconds, codes: codesOf(result) });
    return result;
  }

  async #overHttp(operation: Operation, headers: Headers, signal?: AbortSignal): Promise<ExecutionResult> {
    const send = (token: string | null) => post(this.url, operation, { ...bearer(token), ...headers }, signal);
    if (ownAuthorization(headers) !== null) return send(null);
    const token = await this.session.accessToken();
    const result = await send(token);
    if (token === null || !isUnauthenticated(result)) return result;
    await this.session.renew(token);
    const renewed = await this.session.accessToken();
    return renewed === null ? result : send(renewed);
  }

  #overSocket(operation: Operation, headers: Headers): Observable<ExecutionResult> {
    const own = ownAuthorization(headers);
    const socket = own === null ? this.#socket : openSocket(this.url, async () => own);
    const subscribe = (observer: Observer) => {
      let runs = true;
      const end = () => {
        runs = false;
        observer.complete();
      };
      const sent = { ...payload(operation) };
      const stop = socket.subscribe(sent, {
        next: (result) => {
          moveOn(sent, result.data);
          observer.next(this.#note(result as ExecutionResult, null));
        },
        error: (error) => {
          observer.next(this.#note(asResult(error), null));
          end();
        },
        complete: end,
      });
      const unsubscribe = () => {
        if (runs) this.stoppedAt = performance.now();
        runs = false;
        stop();
      };
      return { unsubscribe };
    };
    return {
      subscribe(observer: Observer) {
        return subscribe(observer);
      },
      // The type also knows an older way to call, by three functions, that GraphiQL does not use.
    } as Observable<ExecutionResult>;
  }

  /** The session's own operations: the renewal over the open socket if there is one. */
  #send(operation: Operation, token: string | null): Promise<ExecutionResult> {
    const byPost = () => post(this.url, operation, bearer(token));
    const renews = token === null && this.session.view().username !== null;
    // Should the socket break, the same renewal by POST gets the same tokens: the server repeats
    // an answer that was lost for ten seconds.
    return renews && this.#socketIsOpen ? this.#onceOverSocket(operation).catch(byPost) : byPost();
  }

  #onceOverSocket(operation: Operation): Promise<ExecutionResult> {
    return new Promise((resolve, reject) => {
      const stop = this.#socket.subscribe(payload(operation), {
        next: (result) => resolve(result as ExecutionResult),
        error: (error) => (Array.isArray(error) ? resolve(asResult(error)) : reject(error)),
        complete: () => unhook(),
      });
      // Not to be tried again by the socket, whose next connection waits for this very answer.
      const unhook = this.#socket.on("closed", () => {
        stop();
        reject(new Error("The connection ended without an answer."));
        unhook();
      });
    });
  }
}

/** A socket that connects with its first operation and closes after its last. */
function openSocket(url: string, authorization: () => Promise<string | null>): Client {
  return createClient({
    url: url.replace(/^http/, "ws"),
    connectionParams: async () => withAuthorization(await authorization()),
    keepAlive: 20_000,
  });
}

type Changing<T> = { -readonly [K in keyof T]: T[K] };

interface Observer {
  next(result: ExecutionResult): void;
  complete(): void;
}

/**
 * The operation to send, and whether it is a subscription. A document that cannot be parsed goes to
 * the server as it is, which explains what is wrong with it.
 */
function settle({ query, variables, operationName }: FetcherParams) {
  const operation: Operation = { query, variables: variables as Operation["variables"], operationName };
  try {
    const meant = operationOf(parse(query), operationName);
    operation.operationName = meant?.name?.value;
    return { operation, isSubscription: meant?.operation === OperationTypeNode.SUBSCRIPTION };
  } catch {
    return { operation, isSubscription: false };
  }
}

function bearer(token: string | null): Headers {
  return withAuthorization(token && `Bearer ${token}`);
}

function withAuthorization(authorization: string | null): Headers {
  return authorization === null ? {} : { Authorization: authorization };
}

function payload({ query, variables, operationName }: Operation): SubscribePayload {
  return { query, variables: variables ?? null, operationName: operationName ?? null };
}

/** A socket that connects again sends the operation again: from the last cursor on, if it has one. */
function moveOn(sent: Changing<SubscribePayload>, data: unknown): void {
  const [event] = Object.values((data ?? {}) as Record<string, { cursor?: unknown } | null>);
  if (event?.cursor === undefined || !/\$after\b/.test(sent.query)) return;
  sent.variables = { ...sent.variables, after: event.cursor };
}

/** A failure as an answer: GraphiQL shows the stack of an error that is thrown, and this without. */
function asResult(failure: unknown): ExecutionResult {
  if (Array.isArray(failure)) return { errors: failure as GraphQLError[] };
  let message = "The connection could not be opened.";
  if (failure instanceof CloseEvent) {
    message = `The connection was closed (${failure.code}${failure.reason && `: ${failure.reason}`}).`;
  } else if (failure instanceof Error) message = failure.message;
  return { errors: [{ message } as GraphQLError] };
}
