/** A subscription that continues after every interruption, from the last cursor. */

import type { Body, Variables } from "../documents.ts";
import { type Answer, TaskloomError, dataOf } from "../errors.ts";
import type { Session } from "../session.ts";
import { pause, wait } from "../waiting.ts";

export type Status = "connected" | "waiting";

/**
 * Opens one connection for a subscription. The iterator ends when the server has completed the
 * subscription, and throws if it was interrupted: a `TaskloomError`, or what `fetch` throws.
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

// What the server cannot do now, and may do later.
const PASSING = ["UNAVAILABLE", "RATE_LIMITED", "TIMEOUT"];
// After this long, a connection was a good one.
const GOOD_MS = 10_000;

/**
 * The answers of a subscription, whose variable `after` moves on with each event's cursor.
 * `eventCursor` asks for the first one, if none is given; null: the subscription has no cursors.
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
  for (let failures = 0; !signal.aborted; ) {
    let [openedAt, hasDelivered] = [Infinity, false];
    const token = await session.token();
    const opened = () => ((openedAt = Date.now()), onStatus("connected"));
    try {
      if (eventCursor && (variables.after ?? null) === null)
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
  // Any other error is a lost connection.
  if (!(error instanceof TaskloomError)) return pause(failures);
  const { code, problems, retryAfter } = error;
  if (code === "UNAUTHENTICATED") {
    await session.renew(token).catch((refused) => {
      if (!(refused instanceof TaskloomError && PASSING.includes(refused.code))) throw refused;
    });
    return failures === 1 ? 0 : pause(failures);
  }
  if (problems[0]?.more.limit === "connections") return pause(failures + 2);
  // Rights that have changed end a stream; whether they still allow it shows when it is opened.
  if (!PASSING.includes(code) && !(code === "FORBIDDEN" && wasGood)) throw error;
  return retryAfter ?? pause(failures);
}
