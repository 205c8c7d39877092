/** Sending an operation over HTTP, again if that may help. */

import type { Body } from "./documents.ts";
import { type Answer, problemsOf } from "./errors.ts";
import { pause, wait } from "./waiting.ts";

const TIMEOUT_MS = 15_000;
// Nobody waits longer than this for an answer; a limit per hour is an error.
const LONGEST_SECONDS = 60;

export type Fetch = typeof fetch;

/** How a request is sent. */
export interface RequestOptions {
  signal?: AbortSignal | undefined;
  /** 8 to 64 letters, digits, `.`, `_`, `:` or `-`. */
  requestId?: string | undefined;
  /** How often to try; 8 by default, which takes about a minute. */
  attempts?: number | undefined;
}

/** A request: `repeat` says whether it may be sent again after an answer was lost. */
export interface Call extends RequestOptions {
  body: Body;
  token: string | null;
  repeat: boolean;
}

/** The answer to a call. An answer that does not come is one with the error `UNAVAILABLE`. */
export async function post(fetch: Fetch, url: string, call: Call): Promise<Answer> {
  const { attempts = 8, repeat, signal } = call;
  for (let attempt = 1; ; attempt += 1) {
    const { answer, retryAfter } = await once(fetch, url, call);
    const seconds = retryAfter ?? pause(attempt);
    if (attempt >= attempts || seconds > LONGEST_SECONDS || !mayRepeat(answer, repeat))
      return answer;
    await wait(seconds, signal);
  }
}

/** The headers of a call. */
export function headersOf(token: string | null, accept: string): Record<string, string> {
  const headers = { "Content-Type": "application/json", Accept: accept };
  return token === null ? headers : { ...headers, Authorization: `Bearer ${token}` };
}

function mayRepeat(answer: Answer, repeat: boolean): boolean {
  const codes = new Set(problemsOf(answer).map(({ code }) => code));
  const untouched = Object.values(answer.data ?? {}).every((value) => value === null);
  return (codes.has("RATE_LIMITED") && (repeat || untouched)) || (codes.has("UNAVAILABLE") && repeat);
}

interface Reply {
  answer: Answer;
  retryAfter?: number | null;
}

async function once(fetch: Fetch, url: string, call: Call): Promise<Reply> {
  const { body, token, requestId, signal } = call;
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const headers = headersOf(token, "application/graphql-response+json, application/json");
  if (requestId !== undefined) headers["X-Request-Id"] = requestId;
  try {
    const response = await fetch(url, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    return { answer: await answerOf(response), retryAfter: secondsOf(response) };
  } catch {
    signal?.throwIfAborted();
    return { answer: failed("UNAVAILABLE", "The server could not be reached.") };
  }
}

/** The answer in a response; an error if it has none. */
export async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text();
  try {
    const answer = JSON.parse(text) as Answer | null;
    if (answer?.data !== undefined || answer?.errors !== undefined) return answer;
  } catch {
    // From a proxy, for example.
  }
  const passes = response.status >= 500 || response.status === 429;
  const code = passes ? "UNAVAILABLE" : "BAD_REQUEST";
  return failed(code, `The answer has the status ${response.status} and is not from the API.`);
}

function secondsOf(response: Response): number | null {
  const header = response.headers.get("Retry-After");
  return header !== null && /^\d+$/.test(header) ? Number(header) : null;
}

function failed(code: string, message: string): Answer {
  return { errors: [{ message, extensions: { code } }] };
}
