/** Subscriptions as server-sent events, with `fetch`, which can send headers. */

import { type Answer, dataOf, problem } from "../errors.ts";
import { type Fetch, answerOf, either, posting } from "../http.ts";
import type { Opening, Transport } from "./resume.ts";

// The server sends a sign of life every twelve seconds.
const SILENCE_MS = 30_000;

export class EventStreams implements Transport {
  readonly #open = new Set<AbortController>();

  constructor(
    private readonly fetch: Fetch,
    private readonly url: string,
  ) {}

  async *open({ body, token, signal, opened }: Opening): AsyncGenerator<Answer> {
    const stop = new AbortController();
    this.#open.add(stop);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(), SILENCE_MS);
    };
    heard();
    try {
      const init = posting(body, token, "text/event-stream");
      const response = await this.fetch(this.url, { ...init, signal: either(signal, stop.signal) });
      const type = response.headers.get("Content-Type") ?? "";
      if (!response.body || !type.startsWith("text/event-stream")) {
        dataOf(await answerOf(response));
        throw problem("UNAVAILABLE", "The response is not a stream.");
      }
      opened();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) throw problem("UNAVAILABLE", "The stream has ended.");
        heard();
        const messages = (text + value).split("\n\n");
        text = messages.pop() ?? "";
        for (const message of messages) {
          // The server's lines end in LF, and its data is one line.
          const event = /^event: *(.*)$/m.exec(message)?.[1];
          if (event === "complete") return;
          if (event === "next") yield JSON.parse(/^data: *(.*)$/m.exec(message)?.[1] ?? "{}");
        }
      }
    } finally {
      clearTimeout(timer);
      this.#open.delete(stop);
      stop.abort();
    }
  }

  /** Connect again, with the credentials of now. */
  reset(): void {
    for (const stop of this.#open) stop.abort();
  }
}
