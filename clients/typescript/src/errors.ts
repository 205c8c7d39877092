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
  errors?: readonly {
    message: string;
    path?: readonly (string | number)[];
    extensions?: { code?: ErrorCode } & Record<string, unknown>;
  }[];
  extensions?: Record<string, unknown>;
}

/** An operation failed; `data` is what was answered all the same. */
export class TaskloomError extends Error {
  override name = "TaskloomError";

  constructor(
    readonly problems: readonly Problem[],
    readonly data: any = null,
  ) {
    super(problems.map((one) => [one.code, ...one.path].join(".") + `: ${one.message}`).join("; "));
  }

  /** The code of the first problem. */
  get code(): ErrorCode {
    return this.problems[0]?.code ?? "INTERNAL_SERVER_ERROR";
  }

  /** For how many seconds to wait, if the server says so. */
  get retryAfter(): number | null {
    return retryAfterOf(this.problems);
  }
}

/** What was asked for does not exist, or you cannot see it. */
export class NotFoundError extends TaskloomError {}

/** Other problems of the input of a mutation. */
export class InputError extends TaskloomError {}

/** Events cannot be continued from this cursor: read everything again, with `eventCursor`. */
export class CursorExpiredError extends TaskloomError {}

/** The session has ended, the key was revoked, or the password is wrong. */
export class SignInError extends TaskloomError {}

/** The server gave no answer, or could not answer. */
export class UnavailableError extends TaskloomError {}

/** The object has changed since the version in `ifVersion`. */
export class ConflictError extends TaskloomError {
  /** The object as it is now, with what the mutation selects of it. */
  get current(): any {
    const payloads = Object.values<any>(this.data ?? {});
    const values = payloads.flatMap((payload) => Object.values<any>(payload ?? {}));
    return values.find((value) => value?.version !== undefined) ?? null;
  }
}

const CLASSES: Partial<Record<ErrorCode, typeof TaskloomError>> = {
  NOT_FOUND: NotFoundError,
  CONFLICT: ConflictError,
  CURSOR_EXPIRED: CursorExpiredError,
  UNAUTHENTICATED: SignInError,
  INVALID_CREDENTIALS: SignInError,
  UNAVAILABLE: UnavailableError,
};

/** The data of an answer. Throws its errors: those of the request, and those in payloads. */
export function dataOf<R>(answer: Answer<R>): R {
  const problems = problemsOf(answer);
  const [first] = problems;
  if (!first && answer.data) return answer.data;
  const rest = first?.origin === "payload" ? InputError : TaskloomError;
  throw new ((first && CLASSES[first.code]) ?? rest)(problems, answer.data);
}

/** The error for a problem that the server did not send. */
export function problem(code: ErrorCode, message: string, more: Problem["more"] = {}) {
  const Class = CLASSES[code] ?? TaskloomError;
  return new Class([{ code, message, path: [], origin: "request", more }]);
}

/** For how many seconds to wait, if one of these problems says so. */
export function retryAfterOf(problems: readonly Problem[]): number | null {
  const [given] = problems.flatMap(({ more }) => more.retryAfter ?? []);
  return given === undefined ? null : Number(given);
}

/** All problems of an answer. */
export function problemsOf({ data, errors = [] }: Answer): Problem[] {
  const requests = errors.map(({ message, path = [], extensions = {} }) => {
    const { code = "INTERNAL_SERVER_ERROR" as const, ...more } = extensions;
    return { code, message, path: path.map(String), origin: "request" as const, more };
  });
  const payloads = Object.values<any>(data ?? {}).flatMap((payload) => payload?.errors ?? []);
  const inputs = payloads.map(({ code, message = code, path = [], ...more }) => {
    return { code, message, path, origin: "payload" as const, more };
  });
  return [...requests, ...inputs.filter(({ code }) => code)];
}
