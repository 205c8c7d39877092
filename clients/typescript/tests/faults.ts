/** What a client does when answers get lost, and when the server is full. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import { type Status, Taskloom, type Tokens, UnavailableError, memoryStorage } from "@taskloom/client";

import { CreateDocument, EventsDocument, TasksDocument } from "./generated/graphql.ts";
import { errorOf, say } from "./talk.ts";

/** What a proxy does with a request: `lose` passes it on, and cuts the connection then. */
type Fate = "pass" | "busy" | "tomorrow" | "cut" | "lose";

/** A proxy before the server, which follows a plan. */
async function proxy(server: string): Promise<{ url: string; plan: Fate[]; seen: Fate[] }> {
  const plan: Fate[] = [];
  const seen: Fate[] = [];
  const listener = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const fate = plan.shift() ?? "pass";
    seen.push(fate);
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
    const body = await answer.text();
    if (fate === "lose") request.socket.destroy();
    else response.writeHead(answer.status, { "Content-Type": "application/json" }).end(body);
  });
  await new Promise<void>((ready) => listener.listen(0, "127.0.0.1", ready));
  return { url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`, plan, seen };
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
  say({ first, second, third, aborted: aborted.name, codes });
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
