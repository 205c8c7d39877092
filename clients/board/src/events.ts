/** Following events for pages that then read again what they show. */

import { CursorExpiredError, NotFoundError } from "@taskloom/client";
import { useEffect } from "react";
import { api } from "./api.ts";
import { type EventFilter, TaskEventsDocument } from "./generated/graphql.ts";

// Events that come together are one reason to read again.
const TOGETHER_MS = 300;

/**
 * Call `changed` when events come that a filter lets through, from a cursor on; undefined: not yet.
 * It is also called if the cursor has expired, or if what the filter names is gone.
 */
export function useEvents(
  filter: EventFilter,
  after: string | null | undefined,
  changed: () => void,
): void {
  const key = JSON.stringify(filter);
  useEffect(() => {
    if (after === undefined) return;
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const soon = () => {
      clearTimeout(timer);
      timer = setTimeout(changed, TOGETHER_MS);
    };
    void follow(JSON.parse(key) as EventFilter, after, stop.signal, soon);
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [key, after, changed]);
}

async function follow(
  filter: EventFilter,
  after: string | null,
  signal: AbortSignal,
  changed: () => void,
): Promise<void> {
  try {
    for await (const _ of api.live(TaskEventsDocument, { filter, after }, { signal })) changed();
  } catch (error) {
    // Whatever else it is, it would be the same again.
    if (error instanceof CursorExpiredError || error instanceof NotFoundError) changed();
  }
}
