/** Sending an operation over HTTP, again if that may help. */

import type { Body } from "./documents.ts";
import { type Answer, problemsOf, retryAfterOf } from "./errors.ts";
import { pause, wait } from "./waiting.ts";

const TIMEOUT_MS = 15_000;
// Nobody waits longer than this for an answer; a limit per hour is an error.
const LONGEST_SECONDS = 60;

export type Fetch = typeof fetch;

export interface RequestOptions {
  signal?: AbortSignal | undefined;
  /** 8 to 64 letters, digits, `.`, `_`, `:` or `-`. */
  requestId?: string | undefined;
  /** How often to try; 8 by default, which takes about a minute. */
  attempts?: number | undefined;
}

/** A request. `mayRepeat`: whether it may be sent again after an answer was lost. */
export interface Call extends RequestOptions {
  body: Body;
  token: string | null;
  mayRepeat: boolean;
}

/** The answer to a call. An answer that does not come is one with the error `UNAVAILABLE`. */
export async function post(fetch: Fetch, url: string, call: Call): Promise<Answer> {
  const { attempts = 8, mayRepeat, signal } = call;
  for (let attempt = 1; ; attempt += 1) {
    const [answer, retryAfter] = await once(fetch, url, call);
    const problems = problemsOf(answer);
    const codes = problems.map(({ code }) => code);
    const isUntouched = Object.values(answer.data ?? {}).every((value) => value === null);
    const passes = codes.includes("RATE_LIMITED")
      ? mayRepeat || isUntouched
      : mayRepeat && codes.includes("UNAVAILABLE");
    // A limit of one mutation is an error of its field, in an answer without the header.
    const seconds = retryAfter ?? retryAfterOf(problems) ?? pause(attempt);
    if (!passes || attempt >= attempts || seconds > LONGEST_SECONDS) return answer;
    await wait(seconds, signal);
  }
}

/** An answer, and how many seconds to wait. */
async function once(fetch: Fetch, url: string, call: Call): Promise<[Answer, number | null]> {
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
    const retryAfter = response.headers.get("Retry-After") ?? "";
    return [await answerOf(response), /^\d+$/.test(retryAfter) ? Number(retryAfter) : null];
  } catch {
    signal?.throwIfAborted();
    return [failed("UNAVAILABLE", "The server could not be reached."), null];
  }
}

/** The headers of a request. */
export function headersOf(token: string | null, accept: string): Record<string, string> {
  const headers = { "Content-Type": "application/json", Accept: accept };
  return token === null ? headers : { ...headers, Authorization: `Bearer ${token}` };
}

/** The answer in a response; an error if it has none. */
export async function answerOf(response: Response): Promise<Answer> {
  const { status } = response;
  const answer = await response.json().catch(() => null);
  if (answer?.data !== undefined || answer?.errors !== undefined) return answer as Answer;
  const code = status >= 500 || status === 429 ? "UNAVAILABLE" : "BAD_REQUEST";
  return failed(code, `The answer has the status ${status} and is not from the API.`);
}

function failed(code: string, message: string): Answer {
  return { errors: [{ message, extensions: { code } }] };
}
