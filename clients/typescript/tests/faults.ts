/** What a client does when answers get lost, and when the server is full. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import {
  SignInError,
  type Status,
  Taskloom,
  type Tokens,
  UnavailableError,
  memoryStorage,
} from "@taskloom/client";

import { CreateDocument, EventsDocument, TasksDocument } from "./generated/graphql.ts";
import { errorOf, say } from "./talk.ts";

/** What a proxy does with a request: `lose` passes it on, and cuts the connection then. */
type Fate = "pass" | "busy" | "tomorrow" | "cut" | "lose" | "full";

interface Proxy {
  url: string;
  plan: Fate[];
  seen: Fate[];
  /** Of the latest request. */
  body: () => any;
}

/** How a mutation says that a limit per hour is reached: its error has no header. */
const FULL = {
  data: null,
  errors: [{ message: "Too many.", extensions: { code: "RATE_LIMITED", retryAfter: 3_000 } }],
};

/** A proxy before the server, which follows a plan. */
async function proxy(server: string): Promise<Proxy> {
  const plan: Fate[] = [];
  const seen: Fate[] = [];
  let body = "";
  const listener = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const fate = plan.shift() ?? "pass";
    seen.push(fate);
    body = Buffer.concat(chunks).toString();
    if (fate === "full") response.end(JSON.stringify(FULL));
    if (fate === "busy") response.writeHead(503, { "Retry-After": "1" }).end("<h1>Busy</h1>");
    if (fate === "tomorrow") response.writeHead(503, { "Retry-After": "86400" }).end();
    if (fate === "cut") request.socket.destroy();
    if (fate !== "pass" && fate !== "lose") return;
    const headers = request.headers as Record<string, string>;
    const { authorization = "" } = headers;
    const answer = await fetch(`${server}${request.url}`, {
      method: "POST",
      headers: { "Content-Type": headers["content-type"]!, Authorization: authorization },
      body: Buffer.concat(chunks),
    });
    const answered = await answer.text();
    if (fate === "lose") request.socket.destroy();
    else response.writeHead(answer.status, { "Content-Type": "application/json" }).end(answered);
  });
  await new Promise<void>((ready) => listener.listen(0, "127.0.0.1", ready));
  const url = `http://127.0.0.1:${(listener.address() as AddressInfo).port}`;
  return { url, plan, seen, body: () => JSON.parse(body) };
}

/** Requests through the proxy. */
export async function throughProxy(server: string, tokens: Tokens): Promise<void> {
  const { url, plan, seen } = await proxy(server);
  const api = new Taskloom({ url, storage: memoryStorage(tokens) });
  const titles = async () =>
    (await api.request(TasksDocument, {})).tasks.nodes.map(({ title }) => title);

  plan.push("busy", "lose", "pass");
  const began = Date.now();
  const created = await api.request(CreateDocument, { input: { title: "once" } });
  const waited = Date.now() - began;
  const first = { title: created.taskCreate.task!.title, seen: seen.splice(0), waited };

  // Without an idempotency key, nobody knows whether it has happened.
  plan.push("lose");
  const inline = 'mutation { taskCreate(input: { title: "perhaps" }) { errors { code message } } }';
  const lost = await errorOf(() => api.request(inline));
  const second = { unavailable: lost instanceof UnavailableError, seen: seen.splice(0) };

  plan.push("cut", "cut", "pass");
  const third = { titles: (await titles()).sort(), seen: seen.splice(0) };

  plan.push("busy");
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 200);
  const aborted = await errorOf(() => api.request(TasksDocument, {}, { signal: stop.signal }));
  plan.push("busy");
  const single = await errorOf(() => api.request(TasksDocument, {}, { attempts: 1 }));
  plan.push("tomorrow");
  const tomorrow = await errorOf(() => api.request(TasksDocument));
  const codes = [single.code, tomorrow.code];
  seen.splice(0);
  plan.push("full");
  const full = await errorOf(() => api.request(CreateDocument, { input: { title: "too many" } }));
  const fourth = { code: full.code, retryAfter: full.retryAfter, seen: seen.splice(0) };
  say({ first, second, third, aborted: aborted.name, codes, fourth });
}

const ME = "{ viewer { user { username } } }";

/** What becomes of a session whose access token has expired while the server is not at its best. */
export async function renewing(server: string, expired: Tokens[], other: any): Promise<void> {
  const begin = async () => {
    const { url, plan, seen, body } = await proxy(server);
    const storage = memoryStorage(expired.shift()!);
    const until = async (fate: Fate) => {
      while (!seen.includes(fate)) await new Promise((go) => setTimeout(go, 10));
    };
    return { api: new Taskloom({ url, storage }), plan, body, until };
  };
  const name = async (api: Taskloom) => (await api.request(ME)).viewer.user.username;

  // The renewal is refused for a while: the session has not ended.
  const limited = await begin();
  limited.plan.push("pass", "full");
  const refused = await errorOf(() => limited.api.request(ME));
  const first = { code: refused.code, isSignedIn: await limited.api.isSignedIn() };

  // Signing out without a network, while the renewal waits for one.
  const leaving = await begin();
  leaving.plan.push("pass", "busy");
  const asked = errorOf(() => leaving.api.request(ME));
  await leaving.until("busy");
  leaving.plan.push("cut");
  await leaving.api.signOut();
  const second = {
    ended: (await asked) instanceof SignInError,
    isSignedIn: await leaving.api.isSignedIn(),
  };

  // Somebody else signs in while the renewal waits.
  const changing = await begin();
  changing.plan.push("pass", "busy");
  const theirs = errorOf(() => changing.api.request(ME));
  await changing.until("busy");
  await changing.api.signIn(other.login, other.password);
  const third = { ended: (await theirs) instanceof SignInError, name: await name(changing.api) };

  // A wrong number of attempts is not waited for: somebody sits before the form.
  changing.plan.push("full");
  const soon = await errorOf(() => changing.api.signIn(other.login, other.password));

  // What is tried once has no key, which the server would keep.
  const input = { title: "once" };
  const keys = [];
  for (const attempts of [1, 2]) {
    await changing.api.request(CreateDocument, { input }, { attempts });
    keys.push("idempotencyKey" in changing.body().variables.input);
  }
  say({ first, second, third, soon: soon.code, keys });
}

/** Streams whose user gets other rights, or is another user from now on. */
export async function rights(url: string, told: any, webSocket: unknown): Promise<void> {
  const { tokens, admin, user, other } = told;
  const boss = new Taskloom({ url, storage: memoryStorage(admin) });
  const seen: string[][] = [];
  for (const transport of ["websocket", "sse"] as const) {
    const api = new Taskloom({ url, storage: memoryStorage(tokens), webSocket });
    const events = api.live(EventsDocument, {}, { transport });
    const titles: string[] = [];
    const next = async (by: Taskloom, title: string) => {
      let event: any;
      do {
        const coming = events.next();
        if (!event) await new Promise((go) => setTimeout(go, 500));
        if (!event) await by.request(CreateDocument, { input: { title } });
        event = (await coming).value;
      } while (event.task?.title !== title);
      titles.push(title);
    };
    await next(api, "before");
    const promote = `mutation ($input: AdminUserUpdateInput!) {
      adminUserUpdate(input: $input) { errors { code message } }
    }`;
    await boss.request(promote, { input: { id: user, isAdmin: transport === "websocket" } });
    await next(api, "with other rights");
    // It goes on with the credentials of the one who is signed in.
    await api.signIn(other.login, other.password);
    const theirs = new Taskloom({ url });
    await theirs.signIn(other.login, other.password);
    await next(theirs, "as another user");
    seen.push(titles);
    api.close();
  }
  say(seen);
}

/** One more socket than a user may have: the last one gets its turn when another has left. */
export async function crowd(url: string, tokens: Tokens, webSocket: unknown): Promise<void> {
  const open = () => new Taskloom({ url, storage: memoryStorage(tokens), webSocket });
  const after = (await open().request("{ eventCursor }")).eventCursor;
  const first = Array.from({ length: 20 }, open);
  const listen = (api: Taskloom, onStatus: (status: Status) => void) =>
    api.live(EventsDocument, { after }, { onStatus, transport: "websocket" }).next();
  const connected = first.map(
    (api) => new Promise<void>((ready) => void listen(api, (status) => status === "connected" && ready())),
  );
  await Promise.all(connected);
  const statuses: Status[] = [];
  const event = listen(open(), (status) => {
    statuses.push(status);
    if (status === "waiting") first.pop()?.close();
  });
  await first[0]!.request(CreateDocument, { input: { title: "seen by all" } });
  const { value } = await event;
  say({ statuses: [statuses[0], statuses.at(-1)], title: value?.task?.title });
}
