/** Subscriptions over one WebSocket, with graphql-ws. It does not reconnect: `resumed` does. */

import { type Client, createClient } from "graphql-ws/client";

import { type Answer, dataOf, problem } from "../errors.ts";
import type { Session } from "../session.ts";
import type { Opening, Transport } from "./resume.ts";

// A connection that is silent although it was pinged is lost.
const PING_MS = 10_000;
// Close codes that are more than a lost connection: the credentials, too many connections, and what
// would only happen again.
const FORBIDDEN = 4403;
const FULL = 1013;
const FAULTS = [1002, 1003, 1007, 1008, 1009, 4004, 4400, 4401, 4406, 4409, 4429];

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
      const { code = 0, reason = "" } = error as { code?: number; reason?: string };
      const message = `The connection was closed with ${code}: ${reason}`;
      if (code === FORBIDDEN) throw problem("UNAUTHENTICATED", message);
      if (FAULTS.includes(code)) throw problem("BAD_REQUEST", message);
      throw problem("UNAVAILABLE", message, code === FULL ? { limit: "connections" } : {});
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
