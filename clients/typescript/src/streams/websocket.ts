/** Subscriptions over one WebSocket, with graphql-ws. It does not reconnect: `resumed` does. */

import { type Client, createClient } from "graphql-ws/client";

import type { Body } from "../documents.ts";
import { type Answer, errorOf, problemsOf } from "../errors.ts";
import { type Connection, type Hooks, Interrupted } from "./connection.ts";

// A connection that is silent although it was pinged is lost.
const PING_MS = 10_000;
const SILENCE_MS = 10_000;

export class Socket implements Connection {
  readonly #client: Client;
  // Those of the current connection.
  #token: string | null = null;
  #isOpen = false;
  #silent: ReturnType<typeof setTimeout> | undefined;

  constructor(url: string, webSocketImpl: unknown, token: () => Promise<string | null>) {
    const heard = () => clearTimeout(this.#silent);
    this.#client = createClient({
      url: () => socketUrl(url),
      webSocketImpl,
      retryAttempts: 0,
      keepAlive: PING_MS,
      connectionAckWaitTimeout: PING_MS,
      connectionParams: async () => {
        this.#token = await token();
        return this.#token === null ? {} : { Authorization: `Bearer ${this.#token}` };
      },
      on: {
        connected: () => (this.#isOpen = true),
        closed: () => {
          this.#isOpen = false;
          heard();
        },
        message: heard,
        ping: (received) => {
          if (received) return;
          heard();
          this.#silent = setTimeout(() => this.#client.terminate(), SILENCE_MS);
        },
      },
    });
  }

  async *open(body: Body, signal: AbortSignal, hooks: Hooks): AsyncGenerator<Answer> {
    const forget = this.#client.on("connected", hooks.opened);
    if (this.#isOpen) hooks.opened();
    const answers = this.#client.iterate<any>({ ...body });
    const stop = () => void answers.return?.();
    signal.addEventListener("abort", stop);
    try {
      for await (const answer of answers) {
        hooks.used(this.#token);
        yield answer as Answer;
      }
    } catch (error) {
      hooks.used(this.#token);
      if (Array.isArray(error)) throw errorOf(problemsOf({ errors: error }));
      const { code = null, reason } = error as { code?: number; reason?: string };
      throw new Interrupted(reason || "The connection was lost.", code);
    } finally {
      forget();
      signal.removeEventListener("abort", stop);
      // Without it, graphql-ws counts a lost subscription as open, and never closes the socket.
      stop();
    }
  }

  /** Connect again, with the credentials of now. */
  reset(): void {
    this.#client.terminate();
  }
}

function socketUrl(url: string): string {
  const absolute = new URL(url, globalThis.location?.href);
  absolute.protocol = absolute.protocol.replace("http", "ws");
  return absolute.href;
}
