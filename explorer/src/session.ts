/**
 * Who is signed in, and the tokens that prove it.
 *
 * An access token lives for minutes, and a refresh token is good for one use. So the session
 * renews itself shortly before the access token ends, and whenever the server says that the token
 * is no longer valid; all that need a token wait for the same renewal. The tokens are kept in
 * `sessionStorage`: they survive a reload and end with the browser tab. A duplicated tab starts
 * with a copy of them, and two tabs that each use up the same refresh token would look to the
 * server like a theft; the tabs therefore tell each other of every renewal.
 */
import type { ExecutionResult } from "graphql";
import { describe, isUnauthenticated, Unreachable, type Operation } from "./graphql";
import { Store } from "./store";

interface Tokens {
  accessToken: string;
  refreshToken: string;
  /** When the access token ends, in milliseconds since 1970 by this machine's clock. */
  expiresAt: number;
  username: string;
}

/** What the page shows of the session. */
export interface SessionView {
  username: string | null;
  /** Why nobody is signed in, or why somebody could not be; null when there is nothing to say. */
  problem: string | null;
}

/** Sends an operation with the given access token, or with none. */
export type Send = (operation: Operation, accessToken: string | null) => Promise<ExecutionResult>;

interface SessionPayload {
  accessToken: string | null;
  refreshToken: string | null;
  viewer: { user: { username: string } } | null;
  errors: { code: string; path: string[]; message: string }[];
}

const FIELDS = "accessToken refreshToken viewer { user { username } } errors { code path message }";
const CREATE = `mutation SignIn($input: SessionCreateInput!) { sessionCreate(input: $input) { ${FIELDS} } }`;
const REFRESH = `mutation Refresh($input: SessionRefreshInput!) { sessionRefresh(input: $input) { ${FIELDS} } }`;
const REVOKE = `mutation SignOut($input: SessionRevokeInput!) { sessionRevoke(input: $input) { errors { code } } }`;

const STORAGE_KEY = "taskloom:session";
/** How long before its end a token is renewed. */
const MARGIN_MS = 60_000;
/** How soon to try again when the server could not be reached. */
const RETRY_MS = 10_000;
/** The longest wait that `setTimeout` can take. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The server was asked and said no, in words for a person. */
class Refused extends Error {}

export class Session extends Store<SessionView> {
  readonly #send: Send;
  readonly #otherTabs = new BroadcastChannel(STORAGE_KEY);
  #tokens: Tokens | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #renewal: Promise<void> | null = null;

  constructor(send: Send) {
    super({ username: null, problem: null });
    this.#send = send;
    this.#otherTabs.onmessage = ({ data }: MessageEvent<{ used: string; tokens: Tokens }>) => {
      if (data.used === this.#tokens?.refreshToken) this.#keep(data.tokens);
    };
    const stored = sessionStorage.getItem(STORAGE_KEY);
    if (stored !== null) this.#keep(JSON.parse(stored) as Tokens);
  }

  async signIn(login: string, password: string): Promise<void> {
    try {
      this.#keep(await this.#ask(CREATE, "sessionCreate", { login, password, deviceName: "GraphiQL" }));
    } catch (error) {
      this.#forget((error as Error).message);
    }
  }

  /** Ends the session on the server too. Whatever that answers, this page has signed out. */
  async signOut(): Promise<void> {
    const token = this.#tokens?.accessToken ?? null;
    this.#forget(null);
    if (token !== null) {
      await this.#send({ query: REVOKE, variables: { input: {} } }, token).catch(() => undefined);
    }
  }

  /** The access token to send now, renewed if it is about to end; null when nobody is signed in. */
  async accessToken(): Promise<string | null> {
    if (this.#renewal !== null) await this.#renewal;
    else if (this.#tokens !== null && this.#tokens.expiresAt <= Date.now()) await this.renew();
    return this.#tokens?.accessToken ?? null;
  }

  /**
   * Renews the tokens because `rejected` was not accepted (or because it is time). Does nothing
   * when that token has been replaced in the meantime.
   */
  renew(rejected?: string): Promise<void> {
    if (rejected !== undefined && rejected !== this.#tokens?.accessToken) return Promise.resolve();
    this.#renewal ??= this.#renew().finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  }

  async #renew(): Promise<void> {
    const before = this.#tokens;
    if (before === null) return;
    try {
      const after = await this.#ask(REFRESH, "sessionRefresh", { refreshToken: before.refreshToken });
      // Somebody may have signed out while the answer was on its way.
      if (this.#tokens !== before) return;
      this.#otherTabs.postMessage({ used: before.refreshToken, tokens: after });
      this.#keep(after);
    } catch (error) {
      if (this.#tokens !== before) return;
      if (error instanceof Refused) this.#forget("Your session has ended. Please sign in again.");
      else this.#schedule(RETRY_MS);
    }
  }

  async #ask(query: string, field: string, input: Record<string, unknown>): Promise<Tokens> {
    const result = await this.#send({ query, variables: { input } }, null);
    if (result.errors !== undefined) {
      const message = describe(result.errors);
      throw isUnauthenticated(result) ? new Refused(message) : new Error(message);
    }
    const payload = (result.data as Record<string, SessionPayload | null> | null | undefined)?.[field];
    if (payload === undefined || payload === null) throw new Unreachable("The answer of the server cannot be read.");
    const { accessToken, refreshToken, viewer, errors } = payload;
    if (errors.length > 0) throw new Refused(errors.map(({ message }) => message).join(" "));
    if (accessToken === null || refreshToken === null || viewer === null) {
      throw new Refused("The server returned no token.");
    }
    const expiresAt = Date.now() + lifeOf(accessToken);
    return { accessToken, refreshToken, expiresAt, username: viewer.user.username };
  }

  #keep(tokens: Tokens): void {
    this.#tokens = tokens;
    sessionStorage.setItem(STORAGE_KEY, JSON.stringify(tokens));
    // At least the retry's wait, lest a short life make this an endless loop.
    this.#schedule(Math.max(tokens.expiresAt - Date.now() - MARGIN_MS, RETRY_MS));
    this.set({ username: tokens.username, problem: null });
  }

  #forget(problem: string | null): void {
    this.#tokens = null;
    sessionStorage.removeItem(STORAGE_KEY);
    clearTimeout(this.#timer);
    this.set({ username: null, problem });
  }

  #schedule(wait: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.renew(), Math.min(wait, LONGEST_TIMER_MS));
  }
}

/** How many milliseconds an access token lives. When it ends is by the server's clock, not by this one. */
function lifeOf(token: string): number {
  const claims = token.split(".")[1]?.replaceAll("-", "+").replaceAll("_", "/") ?? "";
  const { exp, iat } = JSON.parse(atob(claims)) as { exp: number; iat: number };
  return (exp - iat) * 1000;
}
