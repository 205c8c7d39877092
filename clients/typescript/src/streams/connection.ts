/** What the two transports of a subscription have in common. */

import type { Body } from "../documents.ts";
import type { Answer } from "../errors.ts";

/**
 * Opens one connection for a subscription. The iterator ends when the server has completed the
 * subscription, and throws if it was interrupted: `Interrupted`, or a `TaskloomError`.
 */
export interface Connection {
  open(body: Body, signal: AbortSignal, hooks: Hooks): AsyncIterable<Answer>;
}

/** What whoever opens a connection wants to know. */
export interface Hooks {
  /** With which credentials it was tried. */
  used(token: string | null): void;
  opened(): void;
}

/** A lost connection, and the close code if there is one. */
export class Interrupted extends Error {
  readonly code: number | null;

  constructor(message: string, code: number | null = null) {
    super(message);
    this.code = code;
  }
}
