/** Subscriptions as server-sent events, with `fetch`, which can send headers. */

import type { Body } from "../documents.ts";
import { type Answer, errorOf, problemsOf } from "../errors.ts";
import { type Fetch, answerOf, headersOf } from "../http.ts";
import { type Connection, type Hooks, Interrupted } from "./connection.ts";

// The server sends a sign of life every twelve seconds.
const SILENCE_MS = 30_000;

export class EventStreams implements Connection {
  readonly #fetch: Fetch;
  readonly #url: string;
  readonly #token: () => Promise<string | null>;

  constructor(fetch: Fetch, url: string, token: () => Promise<string | null>) {
    this.#fetch = fetch;
    this.#url = url;
    this.#token = token;
  }

  async *open(body: Body, signal: AbortSignal, hooks: Hooks): AsyncGenerator<Answer> {
    const token = await this.#token();
    hooks.used(token);
    const stop = new AbortController();
    const silent = () => stop.abort(new Interrupted("The server has been silent."));
    let timer = setTimeout(silent, SILENCE_MS);
    try {
      const response = await this.#fetch(this.#url, {
        method: "POST",
        headers: headersOf(token, "text/event-stream"),
        body: JSON.stringify(body),
        signal: AbortSignal.any([signal, stop.signal]),
      });
      if (!response.body || !response.headers.get("Content-Type")?.startsWith("text/event-stream"))
        throw errorOf(problemsOf(await answerOf(response)));
      hooks.opened();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) throw new Interrupted("The stream has ended.");
        clearTimeout(timer);
        timer = setTimeout(silent, SILENCE_MS);
        const messages = (text + value).split("\n\n");
        text = messages.pop() ?? "";
        for (const message of messages.map(parsed)) {
          if (message.event === "complete") return;
          if (message.event === "next") yield JSON.parse(message.data) as Answer;
        }
      }
    } finally {
      clearTimeout(timer);
      stop.abort();
    }
  }
}

/** A message's name and data. The server's lines end in LF, and a name or data is one line. */
function parsed(message: string): { event: string; data: string } {
  const found = { event: "", data: "" };
  for (const line of message.split("\n")) {
    if (line.startsWith("event:")) found.event = line.slice(6).trim();
    else if (line.startsWith("data:")) found.data = line.slice(5).trim();
  }
  return found;
}
