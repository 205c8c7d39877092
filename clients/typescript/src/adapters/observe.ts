/** Any operation as an observable, which is what the adapters need. */

import type { Taskloom } from "../client.ts";
import { type Variables, kindOf } from "../documents.ts";

/** Receives answers as they came, then `complete`, or an error. */
export interface Sink {
  next(answer: any): void;
  error(error: any): void;
  complete(): void;
}

/** Run an operation; returns what ends it. Subscriptions continue by themselves. */
export function observe(
  api: Taskloom,
  query: string,
  variables: Variables,
  sink: Sink,
): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  const run = async () => {
    if (kindOf(query) === "subscription")
      for await (const answer of api.answers(query, variables, { signal })) sink.next(answer);
    else sink.next(await api.execute(query, variables, { signal }));
  };
  run().then(
    () => signal.aborted || sink.complete(),
    (error) => signal.aborted || sink.error(error),
  );
  return () => stop.abort();
}
