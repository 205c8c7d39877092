/** A subscription that continues after every interruption, from the last cursor. */

import type { Body, Variables } from "../documents.ts";
import { type Answer, TaskloomError, dataOf, problem } from "../errors.ts";
import type { Session } from "../session.ts";
import { pause, wait } from "../waiting.ts";

export type Status = "connected" | "waiting";

/**
 * Opens one connection for a subscription. The iterator ends when the server has completed the
 * subscription, and throws if it was interrupted: `Interrupted`, or a `TaskloomError`.
 */
export interface Transport {
  open(opening: Opening): AsyncIterable<Answer>;
}

export interface Opening {
  body: Body;
  token: string | null;
  signal: AbortSignal;
  opened: () => void;
}

/** A lost connection, and the close code if there is one. */
export class Interrupted extends Error {
  constructor(
    message: string,
    readonly code: number | null = null,
  ) {
    super(message);
  }
}

// What the server cannot do now, and may do later.
const PASSING = ["UNAVAILABLE", "RATE_LIMITED", "TIMEOUT"];
// Close codes: the credentials; too busy; and what would only happen again.
const FORBIDDEN = 4403;
const BUSY = 1013;
const FAULTS = [1002, 1003, 1007, 1008, 1009, 4004, 4400, 4401, 4406, 4409, 4429];
// After this long, a connection was a good one.
const GOOD_MS = 10_000;

/**
 * The answers of a subscription, whose variable `after` moves on with each event's cursor.
 * `eventCursor` asks for the first one, if `after` is not given; null: the subscription has no
 * cursors.
 */
export async function* resumed(
  transport: Transport,
  session: Session,
  query: string,
  variables: Variables,
  signal: AbortSignal,
  eventCursor: (() => Promise<string | null>) | null,
  onStatus: (status: Status) => void = () => {},
): AsyncGenerator<Answer> {
  for (let failures = 0; ; ) {
    let [openedAt, hasDelivered] = [Infinity, false];
    const token = await session.token();
    const opened = () => ((openedAt = Date.now()), onStatus("connected"));
    try {
      if (eventCursor && variables.after === undefined)
        variables = { ...variables, after: await eventCursor() };
      const body = { query, variables };
      for await (const answer of transport.open({ body, token, signal, opened })) {
        const [event] = Object.values<any>(answer.data ?? {});
        if (!event) dataOf(answer);
        if (eventCursor) variables = { ...variables, after: event.cursor };
        hasDelivered = true;
        yield answer;
      }
      return;
    } catch (error) {
      if (signal.aborted) return;
      const wasGood = hasDelivered || Date.now() - openedAt > GOOD_MS;
      failures = wasGood ? 1 : failures + 1;
      onStatus("waiting");
      const seconds = await recovered(error, session, token, failures, wasGood);
      await wait(seconds, signal).catch(() => {});
      if (signal.aborted) return;
    }
  }
}

/** How many seconds to wait before connecting again; throws what does not pass. */
async function recovered(
  error: unknown,
  session: Session,
  token: string | null,
  failures: number,
  wasGood: boolean,
): Promise<number> {
  const code = error instanceof TaskloomError ? error.code : "";
  const closed = error instanceof Interrupted ? error.code : null;
  if (code === "UNAUTHENTICATED" || closed === FORBIDDEN) {
    await session.renew(token).catch((refused) => {
      if (!(refused instanceof TaskloomError && PASSING.includes(refused.code))) throw refused;
    });
    return failures === 1 ? 0 : pause(failures);
  }
  if (closed !== null && FAULTS.includes(closed))
    throw problem("BAD_REQUEST", `The connection was closed with ${closed}: ${String(error)}`);
  // Rights that have changed end a stream; whether they still allow it shows when it is opened.
  if (code === "FORBIDDEN" && wasGood) return pause(failures);
  // What a WebSocket says with 1013.
  const isFull = error instanceof TaskloomError && error.problems[0]?.more.limit === "connections";
  if (error instanceof TaskloomError && !PASSING.includes(code) && !isFull) throw error;
  const given = error instanceof TaskloomError ? error.retryAfter : null;
  return given ?? pause(closed === BUSY || isFull ? failures + 2 : failures);
}
