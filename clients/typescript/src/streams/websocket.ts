/** Subscriptions over one WebSocket, with graphql-ws. It does not reconnect: `resumed` does. */

import { type Client, createClient } from "graphql-ws/client";

import { type Answer, dataOf } from "../errors.ts";
import type { Session } from "../session.ts";
import { Interrupted, type Opening, type Transport } from "./resume.ts";

// A connection that is silent although it was pinged is lost.
const PING_MS = 10_000;

export class Socket implements Transport {
  readonly #client: Client;
  #isOpen = false;
  #silence: ReturnType<typeof setTimeout> | undefined;

  constructor(url: string, webSocketImpl: unknown, session: Session) {
    const heard = () => clearTimeout(this.#silence);
    this.#client = createClient({
      url: () => new URL(url, globalThis.location?.href).href.replace(/^http/, "ws"),
      webSocketImpl,
      retryAttempts: 0,
      keepAlive: PING_MS,
      connectionAckWaitTimeout: PING_MS,
      connectionParams: async () => {
        const token = await session.token();
        return token === null ? {} : { Authorization: `Bearer ${token}` };
      },
      on: {
        connected: () => (this.#isOpen = true),
        closed: () => ((this.#isOpen = false), heard()),
        message: heard,
        ping: (isReceived) => {
          heard();
          if (!isReceived) this.#silence = setTimeout(() => this.reset(), PING_MS);
        },
      },
    });
  }

  /** The socket may be older than the token of `Opening`, and belong to the one before. */
  async *open({ body, signal, opened }: Opening): AsyncGenerator<Answer> {
    const forget = this.#client.on("connected", opened);
    if (this.#isOpen) opened();
    const answers = this.#client.iterate<any>({ ...body });
    const stop = () => void answers.return?.();
    signal.addEventListener("abort", stop);
    try {
      for await (const answer of answers) yield answer as Answer;
    } catch (error) {
      if (Array.isArray(error)) dataOf({ errors: error });
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
