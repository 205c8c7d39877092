/** A subscription that continues after every interruption, from the last cursor. */

import type { Body } from "../documents.ts";
import { type Answer, TaskloomError, errorOf, problem, problemsOf } from "../errors.ts";
import type { Session } from "../session.ts";
import { pause, wait } from "../waiting.ts";
import { type Connection, Interrupted } from "./connection.ts";

export type Status = "connected" | "waiting";

// What the server cannot do now, and may do later.
const PASSING = new Set(["UNAVAILABLE", "RATE_LIMITED", "TIMEOUT"]);
// Close codes: the credentials; too busy; and what would only happen again.
const FORBIDDEN = 4403;
const BUSY = 1013;
const FAULTS = new Set([1002, 1003, 1007, 1008, 1009, 4004, 4400, 4401, 4406, 4409, 4429]);
// After this long, a connection was a good one.
const GOOD_MS = 10_000;

/** The answers of a subscription, whose variable `after` moves on with each event's cursor. */
export async function* resumed(
  connection: Connection,
  session: Session,
  body: Body,
  signal: AbortSignal,
  onStatus: (status: Status) => void = () => {},
): AsyncGenerator<Answer> {
  let variables = body.variables ?? {};
  let failures = 0;
  for (;;) {
    let token: string | null = null;
    let openedAt = Infinity;
    const hooks = {
      used: (used: string | null) => void (token = used),
      opened() {
        openedAt = Date.now();
        onStatus("connected");
      },
    };
    try {
      for await (const answer of connection.open({ ...body, variables }, signal, hooks)) {
        const cursor = cursorOf(answer);
        const resumes = "after" in variables;
        if (resumes ? cursor === null : !answer.data) throw errorOf(problemsOf(answer), answer.data);
        if (resumes) variables = { ...variables, after: cursor };
        failures = 0;
        yield answer;
      }
      return;
    } catch (error) {
      if (signal.aborted) return;
      failures = Date.now() - openedAt > GOOD_MS ? 1 : failures + 1;
      onStatus("waiting");
      try {
        await wait(await recovered(error, session, token, failures), signal);
      } catch (final) {
        if (signal.aborted) return;
        throw final;
      }
    }
  }
}

/** How many seconds to wait before connecting again; throws what does not pass. */
async function recovered(
  error: unknown,
  session: Session,
  token: string | null,
  failures: number,
): Promise<number> {
  const code = error instanceof TaskloomError ? error.code : null;
  const closed = error instanceof Interrupted ? error.code : null;
  if (code === "UNAUTHENTICATED" || closed === FORBIDDEN) {
    try {
      await session.renew(token);
    } catch (refused) {
      if (!(refused instanceof TaskloomError) || !PASSING.has(refused.code)) throw refused;
    }
    return failures === 1 ? 0 : pause(failures);
  }
  if (error instanceof TaskloomError) {
    if (!PASSING.has(error.code)) throw error;
    return error.retryAfter ?? pause(failures);
  }
  if (closed !== null && FAULTS.has(closed))
    throw problem("BAD_REQUEST", `The connection was closed with ${closed}: ${String(error)}`);
  return pause(closed === BUSY ? failures + 2 : failures);
}

function cursorOf({ data }: Answer): string | null {
  const event: any = Object.values(data ?? {}).find((value: any) => value?.cursor !== undefined);
  return event ? (event.cursor as string) : null;
}
