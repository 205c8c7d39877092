/** Credentials: a key, or the tokens of a session, which are renewed once for everybody. */

import type { Document } from "./documents.ts";
import { SignInError, type TaskloomError, problem } from "./errors.ts";
import { RefreshDocument, SignInDocument, type SignInMutation } from "./generated/graphql.ts";
import type { Tokens, TokenStorage } from "./storage.ts";

/** Sends a mutation without credentials. */
type Ask = <R, V>(document: Document<R, V>, variables: V, attempts?: number) => Promise<R>;

export class Session {
  readonly listeners = new Set<(signedIn: boolean) => void>();
  /** How often somebody has signed in or out: a request of one person is not sent for another. */
  changes = 0;
  #channel: BroadcastChannel | null = null;
  readonly #renewals = new Map<string | null, Promise<void>>();

  constructor(
    private readonly key: string | null,
    private readonly storage: TokenStorage,
    private readonly ask: Ask,
  ) {
    if (storage.name === undefined || typeof BroadcastChannel === "undefined") return;
    this.#channel = new BroadcastChannel(`taskloom:${storage.name}`);
    this.#channel.onmessage = ({ data }) => this.#notify(data === true);
    // In Node.js it must not keep the program running.
    (this.#channel as { unref?: () => void }).unref?.();
  }

  /** What to send as `Authorization: Bearer …`. */
  async token(): Promise<string | null> {
    return this.key ?? (await this.storage.read())?.accessToken ?? null;
  }

  async signIn(login: string, password: string, deviceName?: string): Promise<void> {
    const input = { login, password, deviceName };
    // Somebody waits before a form.
    await this.set(tokensOf((await this.ask(SignInDocument, { input }, 1)).sessionCreate));
  }

  /** Use these tokens from now on; null: sign out here, and in the other tabs. */
  async set(tokens: Tokens | null): Promise<void> {
    await this.storage.write(tokens);
    this.#channel?.postMessage(tokens !== null);
    this.#notify(tokens !== null);
  }

  /**
   * Renew the tokens, unless somebody has done it since `used` was read. Throws `SignInError` if
   * the session has ended.
   */
  async renew(used: string | null): Promise<void> {
    if (this.key !== null) throw ended();
    let renewal = this.#renewals.get(used);
    if (!renewal) {
      renewal = this.#locked(() => this.#renew(used)).finally(() => this.#renewals.delete(used));
      this.#renewals.set(used, renewal);
    }
    await renewal;
  }

  async #renew(used: string | null): Promise<void> {
    const tokens = await this.storage.read();
    if (tokens === null) throw ended();
    if (tokens.accessToken !== used) return;
    const input = { refreshToken: tokens.refreshToken };
    // Meanwhile somebody may sign out, or in, and without a lock another program may be first.
    const isStored = async () => (await this.storage.read())?.refreshToken === tokens.refreshToken;
    try {
      const renewed = tokensOf((await this.ask(RefreshDocument, { input })).sessionRefresh);
      if (await isStored()) await this.storage.write(renewed);
    } catch (error) {
      if (!(error instanceof SignInError)) throw error;
      if (await isStored()) await this.set(null);
      else if ((await this.storage.read()) !== null) return;
      throw error;
    }
  }

  /** Without a lock, two may renew at once: within ten seconds both get the same tokens. */
  async #locked(work: () => Promise<void>): Promise<void> {
    const { name } = this.storage;
    const locks = globalThis.navigator?.locks;
    await (name !== undefined && locks ? locks.request(`taskloom:${name}`, work) : work());
  }

  close(): void {
    this.#channel?.close();
    this.#channel = null;
  }

  #notify(signedIn: boolean): void {
    this.changes += 1;
    for (const listener of this.listeners) listener(signedIn);
  }
}

function ended(): TaskloomError {
  return problem("UNAUTHENTICATED", "The session has ended: sign in again.");
}

function tokensOf(payload: Omit<SignInMutation["sessionCreate"], "errors">): Tokens {
  const { accessToken, refreshToken, accessTokenExpiresAt } = payload;
  if (accessToken === null || refreshToken === null) throw ended();
  return { accessToken, refreshToken, accessTokenExpiresAt };
}
