/** How long to wait before something is tried again. */

const FIRST_SECONDS = 0.5;
const LONGEST_SECONDS = 30;

/** Seconds to wait after the first, second … failure, with some randomness. */
export function pause(attempt: number): number {
  const longest = Math.min(FIRST_SECONDS * 2 ** (attempt - 1), LONGEST_SECONDS);
  return longest * (0.5 + Math.random() / 2);
}

/** Wait; shorter if the browser is connected to the network again. Throws if it is aborted. */
export async function wait(seconds: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  const done = new AbortController();
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    const options = { once: true, signal: done.signal };
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), options);
    // Node.js has no such event, and workers need not.
    globalThis.addEventListener?.("online", () => (clearTimeout(timer), resolve()), options);
  });
  done.abort();
  signal?.throwIfAborted();
}
