/** Any operation as an observable, which is what the adapters need. */

import type { Taskloom } from "../client.ts";
import { type Variables, kindOf } from "../documents.ts";
import type { Answer } from "../errors.ts";

/** Receives answers as they came, then `complete`, or an error. */
export interface Sink {
  next(answer: any): void;
  error(error: any): void;
  complete(): void;
}

/** Run an operation; returns a function that ends it. Subscriptions continue by themselves. */
export function observe(api: Taskloom, query: string, variables: Variables, sink: Sink): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  const answers: AsyncIterable<Answer> =
    kindOf(query) === "subscription"
      ? api.answers(query, variables, { signal })
      : once(api.execute(query, variables, { signal }));
  void (async () => {
    try {
      for await (const answer of answers) if (!signal.aborted) sink.next(answer);
      if (!signal.aborted) sink.complete();
    } catch (error) {
      if (!signal.aborted) sink.error(error);
    }
  })();
  return () => stop.abort();
}

async function* once(answer: Promise<Answer>): AsyncGenerator<Answer> {
  yield await answer;
}
