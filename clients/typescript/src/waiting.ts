/** How long to wait before something is tried again. */

/** Seconds to wait after the first, second … failure, with some randomness. */
export function pause(failures: number): number {
  return Math.min(0.5 * 2 ** (failures - 1), 30) * (0.5 + Math.random() / 2);
}

/** Wait; shorter if the browser is connected to the network again. Throws if it is aborted. */
export async function wait(seconds: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  const done = new AbortController();
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    const early = () => (clearTimeout(timer), resolve());
    signal?.addEventListener("abort", early, { signal: done.signal });
    // Node.js has no such event.
    globalThis.addEventListener?.("online", early, { signal: done.signal });
  });
  done.abort();
  signal?.throwIfAborted();
}
