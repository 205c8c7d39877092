/** When a change is sent again. */

import { TaskloomError, UnavailableError } from "@taskloom/client";
import { connected } from "./api.ts";

const RETRY_MS = [500, 1_000, 2_000, 5_000];

/** Whether a failure is one of the connection, or of this moment. */
export function passes(error: unknown): boolean {
  return (
    error instanceof UnavailableError ||
    (error instanceof TaskloomError && error.code === "RATE_LIMITED")
  );
}

/** Wait a little longer each time, but no longer than until the server can be reached again. */
export function pause(failures: number): Promise<void> {
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
