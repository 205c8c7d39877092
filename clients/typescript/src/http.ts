/** Sending an operation over HTTP, again if that may help. */

import type { Body } from "./documents.ts";
import { type Answer, type ErrorCode, problemsOf, retryAfterOf } from "./errors.ts";
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
    const answer = await once(fetch, url, call);
    const problems = problemsOf(answer);
    const codes = problems.map(({ code }) => code);
    const isUntouched = Object.values(answer.data ?? {}).every((value) => value === null);
    const passes = codes.includes("RATE_LIMITED")
      ? mayRepeat || isUntouched
      : mayRepeat && codes.includes("UNAVAILABLE");
    const seconds = retryAfterOf(problems) ?? pause(attempt);
    if (!passes || attempt >= attempts || seconds > LONGEST_SECONDS) return answer;
    await wait(seconds, signal);
  }
}

async function once(fetch: Fetch, url: string, call: Call): Promise<Answer> {
  const { body, token, requestId, signal } = call;
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const more = requestId === undefined ? {} : { "X-Request-Id": requestId };
  const init = posting(body, token, "application/graphql-response+json, application/json", more);
  try {
    return await answerOf(await fetch(url, { ...init, signal: either(timeout, signal) }));
  } catch {
    signal?.throwIfAborted();
    return failed("The server could not be reached.", { code: "UNAVAILABLE" });
  }
}

/** How to send an operation. `more`: other headers. */
export function posting(body: Body, token: string | null, accept: string, more = {}): RequestInit {
  const headers = new Headers({ "Content-Type": "application/json", Accept: accept, ...more });
  if (token !== null) headers.set("Authorization", `Bearer ${token}`);
  return { method: "POST", headers, body: JSON.stringify(body) };
}

/** The answer in a response; an error if it has none. */
export async function answerOf(response: Response): Promise<Answer> {
  const { headers, status } = response;
  const answer = await response.json().catch(() => null);
  if (answer?.data !== undefined || answer?.errors !== undefined) return answer as Answer;
  const code = status >= 500 || status === 429 ? "UNAVAILABLE" : "BAD_REQUEST";
  const [retryAfter] = /^\d+$/.exec(headers.get("Retry-After") ?? "") ?? [];
  const message = `The answer has the status ${status} and is not from the API.`;
  return failed(message, { code, retryAfter });
}

function failed(message: string, extensions: { code: ErrorCode; retryAfter?: unknown }): Answer {
  return { errors: [{ message, extensions }] };
}

/** A signal for whichever of two comes first. */
export function either(one: AbortSignal, other: AbortSignal | undefined): AbortSignal {
  return other ? AbortSignal.any([one, other]) : one;
}
