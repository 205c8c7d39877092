/** What can go wrong, as classes. */

import type { ErrorCode } from "./generated/graphql.ts";

export type { ErrorCode };

/**
 * An error of an answer. `path` is that of the value in the input if `origin` is `"payload"`, and
 * that of the field if it is `"request"`. `more` has the rest: `retryAfter`, `scope`,
 * `conflictingFields`, `limit` and so on.
 */
export interface Problem {
  readonly code: ErrorCode;
  readonly message: string;
  readonly path: readonly string[];
  readonly origin: "payload" | "request";
  readonly more: Readonly<Record<string, unknown>>;
}

/** A GraphQL answer as it came. */
export interface Answer<R = any> {
  data?: R | null;
  errors?: readonly AnswerError[];
  extensions?: Record<string, unknown>;
}

/** An error in `Answer.errors`. */
export interface AnswerError {
  message: string;
  path?: readonly (string | number)[];
  extensions?: Record<string, unknown>;
}

/** An operation failed; `data` is what was answered all the same. */
export class TaskloomError extends Error {
  override readonly name: string = "TaskloomError";
  readonly problems: readonly Problem[];
  readonly data: any;

  constructor(problems: readonly Problem[], data: unknown = null) {
    super(problems.map(described).join("; "));
    this.problems = problems;
    this.data = data;
  }

  /** The code of the first problem. */
  get code(): ErrorCode {
    return this.problems[0]?.code ?? "INTERNAL_SERVER_ERROR";
  }

  /** For how many seconds to wait, if the server says so. */
  get retryAfter(): number | null {
    const given = this.problems.map(({ more }) => Number(more.retryAfter)).filter((n) => n >= 0);
    return given.length ? Math.max(...given) : null;
  }
}

/** What was asked for does not exist, or you cannot see it. */
export class NotFoundError extends TaskloomError {
  override readonly name = "NotFoundError";
}

/** The object has changed since the version in `ifVersion`. */
export class ConflictError extends TaskloomError {
  override readonly name = "ConflictError";

  /** The object as it is now, with what the mutation selects of it. */
  get current(): any {
    const payloads: any[] = Object.values(this.data ?? {});
    const found = payloads.flatMap((payload) => Object.values(payload ?? {}));
    return found.find((value: any) => value?.version !== undefined) ?? null;
  }
}

/** Other problems of the input of a mutation. */
export class InputError extends TaskloomError {
  override readonly name = "InputError";
}

/** Events cannot be continued from this cursor: read everything again, with `eventCursor`. */
export class CursorExpiredError extends TaskloomError {
  override readonly name = "CursorExpiredError";
}

/** The session has ended, the key was revoked, or the password is wrong. */
export class SignInError extends TaskloomError {
  override readonly name = "SignInError";
}

/** The server gave no answer, or could not answer. */
export class UnavailableError extends TaskloomError {
  override readonly name = "UnavailableError";
}

const BY_CODE: Partial<Record<ErrorCode, typeof TaskloomError>> = {
  NOT_FOUND: NotFoundError,
  CONFLICT: ConflictError,
  CURSOR_EXPIRED: CursorExpiredError,
  UNAUTHENTICATED: SignInError,
  INVALID_CREDENTIALS: SignInError,
  UNAVAILABLE: UnavailableError,
};

/** The error for some problems. */
export function errorOf(problems: readonly Problem[], data?: unknown): TaskloomError {
  const [first] = problems;
  const fallback = first?.origin === "payload" ? InputError : TaskloomError;
  return new ((first && BY_CODE[first.code]) ?? fallback)(problems, data);
}

/** The error for a single problem that the server did not send. */
export function problem(code: ErrorCode, message: string): TaskloomError {
  return errorOf([{ code, message, path: [], origin: "request", more: {} }]);
}

/** All problems of an answer: those of the request, and those in the payloads of mutations. */
export function problemsOf(answer: Answer): Problem[] {
  const found: Problem[] = [];
  for (const { message, path = [], extensions: { code, ...more } = {} } of answer.errors ?? [])
    found.push({
      code: (code as ErrorCode | undefined) ?? "INTERNAL_SERVER_ERROR",
      message,
      path: path.map(String),
      origin: "request",
      more,
    });
  for (const payload of Object.values<any>(answer.data ?? {}))
    for (const { code, message = code, path = [], ...more } of errorsIn(payload))
      found.push({ code, message, path, origin: "payload", more });
  return found;
}

/** The errors of a payload, if it has any. */
function errorsIn(payload: any): any[] {
  const errors: unknown = payload?.errors;
  return Array.isArray(errors) ? errors.filter((error) => typeof error?.code === "string") : [];
}

function described({ code, path, message }: Problem): string {
  return `${code}${path.length ? ` at ${path.join(".")}` : ""}: ${message}`;
}
