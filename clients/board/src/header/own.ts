/** Events about the user alone, which the header shows. */

import { CursorExpiredError } from "@taskloom/client";
import { api } from "../api.ts";
import type { Viewer } from "../app.tsx";
import { BootDocument } from "../generated/graphql.ts";

/**
 * Follow events from a cursor. After a week without any, or a week with a closed laptop, they cannot
 * be continued: `show` is called with what they are about, as it is then.
 */
export async function followed(
  after: string | null,
  signal: AbortSignal,
  listen: (after: string | null) => Promise<void>,
  show: (viewer: Viewer) => void,
): Promise<void> {
  try {
    await listen(after);
  } catch (error) {
    // Whatever else it is, the next reload shows the right state; nothing depends on it.
    if (!(error instanceof CursorExpiredError)) return;
    const boot = await api.request(BootDocument, {}, { signal }).catch(() => null);
    if (!boot?.viewer) return;
    show(boot.viewer);
    await followed(boot.eventCursor, signal, listen, show);
  }
}
