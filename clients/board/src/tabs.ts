/**
 * Whose work is whose, if several pages of the board are open. Each holds a lock of its own for as
 * long as it lives; a page that is given it later knows that the first is gone, and goes on for it.
 */

import { newId } from "./project/places.ts";

/** The name of this page. */
export const PAGE = newId("page");

// Browsers have Web Locks where the address is `https:` or this machine.
const locks: LockManager | undefined = navigator.locks;

void locks?.request(nameOf(PAGE), () => new Promise(() => {}));

/**
 * Call `goOn` once another page is gone. Until that has ended, no third page is called. Without
 * locks it is called at once.
 */
export async function whenGone(
  page: string,
  signal: AbortSignal,
  goOn: () => Promise<unknown>,
): Promise<void> {
  if (!locks) return void (await goOn());
  try {
    await locks.request(nameOf(page), { signal }, goOn);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function nameOf(page: string): string {
  return `taskloom-board:${page}`;
}
