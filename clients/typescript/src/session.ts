/** Credentials: a key, or the tokens of a session, which are renewed once for everybody. */

import type { TypedDocument } from "./documents.ts";
import { SignInError, type TaskloomError, problem } from "./errors.ts";
import { RefreshDocument, SignInDocument, type SignInMutation } from "./generated/graphql.ts";
import type { Tokens, TokenStorage } from "./storage.ts";

/** Sends a mutation without credentials. */
type Ask = <R, V>(document: TypedDocument<R, V>, variables: V) => Promise<R>;

export class Session {
  readonly listeners = new Set<(signedIn: boolean) => void>();
  readonly #channel: BroadcastChannel | null = null;
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
    await this.set(tokensOf((await this.ask(SignInDocument, { input })).sessionCreate));
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
    try {
      const input = { refreshToken: tokens.refreshToken };
      const { sessionRefresh } = await this.ask(RefreshDocument, { input });
      await this.storage.write(tokensOf(sessionRefresh));
    } catch (error) {
      if (!(error instanceof SignInError)) throw error;
      // Where there is no lock, another program may have been first.
      const stored = await this.storage.read();
      if (stored !== null && stored.refreshToken !== tokens.refreshToken) return;
      await this.set(null);
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
  }

  #notify(signedIn: boolean): void {
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
