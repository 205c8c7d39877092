/** The programs that tests/clients/test_typescript.py runs, by name. */

import { readFileSync, writeFileSync } from "node:fs";

import {
  ConflictError,
  InputError,
  NotFoundError,
  SignInError,
  Taskloom,
  type Tokens,
  type TokenStorage,
  memoryStorage,
  verifyWebhook,
} from "@taskloom/client";
import { WebSocket } from "ws";

import {
  CreateDocument,
  TaskDocument,
  TasksDocument,
  UpdateDocument,
} from "./generated/graphql.ts";
import { failing } from "./edits.ts";
import { crowd, renewing, rights, throughProxy } from "./faults.ts";
import { follow } from "./lists.ts";
import { listeners, throughLibraries } from "./streams.ts";
import { errorOf, hear, say } from "./talk.ts";

// As in pages that came over plain HTTP from another machine.
Object.defineProperty(crypto, "randomUUID", { value: undefined });
const url = process.env.SERVER!;
const webSocket = globalThis.WebSocket ?? WebSocket;

const programs: Record<string, () => Promise<void>> = {
  async requests() {
    const { login, password, missing } = await hear();
    const api = new Taskloom({ url });
    const wrong = await errorOf(() => api.signIn(login, "not the password"));
    await api.signIn(login, password);
    const made = [];
    for (let number = 0; number < 5; number += 1) {
      const input = { title: `task ${number}` };
      made.push((await api.request(CreateDocument, { input })).taskCreate.task!);
    }
    const orderBy = [{ createdAt: "ASC" as const }];
    const titles = [];
    for await (const task of api.pages(TasksDocument, (data) => data.tasks, { orderBy, first: 2 }))
      titles.push(task.title);
    const { pageInfo } = (await api.request(TasksDocument, { orderBy, first: 3 })).tasks;
    const later = { orderBy, after: pageInfo.endCursor };
    for await (const task of api.pages(TasksDocument, (data) => data.tasks, later))
      titles.push(task.title);
    const { id, version } = made[0]!;
    await api.request(UpdateDocument, { input: { id, title: "theirs" } });
    const mine = { id, title: "mine", ifVersion: version };
    const conflict = await errorOf(() => api.request(UpdateDocument, { input: mine }));
    const notFound = await errorOf(() => api.request(TaskDocument, { id: missing }));
    const invalid = await errorOf(() =>
      api.request(CreateDocument, { input: { title: "", estimate: -1 } }),
    );
    const invalidDocument = await errorOf(() => api.request("{ nothing }"));
    say({
      titles,
      wrong: wrong instanceof SignInError && wrong.code,
      conflict: conflict instanceof ConflictError && [
        conflict.current.title,
        conflict.problems[0]!.more.conflictingFields,
      ],
      notFound: notFound instanceof NotFoundError && notFound.problems[0],
      invalid: invalid instanceof InputError && invalid.problems.map(({ path }) => path),
      invalidDocument: invalidDocument.code,
    });
    const content = new Blob(["many notes\n".repeat(200_000)]);
    const steps: number[] = [];
    const attachment = await api.upload(id, content, {
      name: "notes.txt",
      onProgress: (sent) => steps.push(sent),
    });
    const stop = new AbortController();
    const aborted = await errorOf(() =>
      api.upload(id, new File([content], "more.txt"), {
        signal: stop.signal,
        onProgress: () => stop.abort(),
      }),
    );
    const refused = await errorOf(() => api.upload(id, new Blob(["<html>"]), { name: "a.png" }));
    say({ attachment, steps, aborted: aborted.name, refused: refused.code });
    await api.signOut();
    const after = await errorOf(() => api.request(TasksDocument));
    say({ signedIn: await api.isSignedIn(), after: after instanceof SignInError });
  },

  /** Eight requests at once with an expired token. */
  async expired() {
    const { tokens } = await hear();
    let writes = 0;
    const memory = memoryStorage(tokens);
    const storage: TokenStorage = {
      read: memory.read,
      write: (next) => ((writes += 1), memory.write(next)),
    };
    const api = new Taskloom({ url, storage });
    const ask = () => api.request("{ viewer { user { username } } }");
    const names = await Promise.all(Array.from({ length: 8 }, ask));
    say({ names: names.map(({ viewer }) => viewer.user.username), writes });
  },

  /** One of several programs that share a session in a file. */
  async shared() {
    const { file } = await hear();
    const storage: TokenStorage = {
      read: () => JSON.parse(readFileSync(file, "utf8")) as Tokens | null,
      write: (tokens) => writeFileSync(file, JSON.stringify(tokens)),
    };
    const api = new Taskloom({ url, storage });
    const ended: boolean[] = [];
    api.onSession((signedIn) => ended.push(signedIn));
    for (;;) {
      say("ready");
      if ((await hear()) !== "ask") return;
      const { viewer } = await api.request("{ viewer { user { username } } }");
      say({ name: viewer.user.username, ended });
    }
  },

  /** Many tasks, among which the server is killed. */
  async creating() {
    const { login, password } = await hear();
    const api = new Taskloom({ url });
    await api.signIn(login, password);
    const create = async (_: unknown, number: number) => {
      const input = { title: `task ${number}` };
      // A busy machine may take a minute to start the server again.
      const { taskCreate } = await api.request(CreateDocument, { input }, { attempts: 20 });
      say(taskCreate.task!.id);
    };
    await Promise.all(Array.from({ length: 40 }, create));
    const found = [];
    for await (const { id, title } of api.pages(TasksDocument, ({ tasks }) => tasks, { first: 30 }))
      found.push([id, title]);
    say({ found });
  },

  /** Listens in every way until each has seen all tasks, or has failed. */
  async streams() {
    const { tokens, cursor, count, names, late } = await hear();
    let writes = 0;
    const memory = memoryStorage(tokens);
    const storage: TokenStorage = {
      read: memory.read,
      write: (next) => ((writes += 1), memory.write(next)),
    };
    const api = new Taskloom({ url, storage, webSocket });
    const after = cursor ?? (await api.request("{ eventCursor }")).eventCursor;
    const results = (names as string[]).map(
      (name) =>
        new Promise((resolve) => {
          const seen: string[] = [];
          const done = (error: any) => resolve([name, { seen: [...seen], error: error && error.constructor.name }]);
          const next = (event: any) => {
            if (event.kind === "TASK_CREATED") seen.push(event.task.title);
            if (seen.length === count || event.task?.title === late) done(null);
          };
          listeners[name]!(api, after, next, done);
        }),
    );
    say("listening");
    say({ results: Object.fromEntries((await Promise.all(results)) as any), writes });
  },

  /** The first event of subscriptions without a cursor. */
  async firsts() {
    const { tokens, key } = await hear();
    const mine = new Taskloom({ url, storage: memoryStorage(tokens), webSocket });
    const range = { firstDay: "2026-11-01", lastDay: "2026-11-30" };
    const create = `mutation ($input: ReportExportCreateInput!) {
      reportExportCreate(input: $input) { reportExport { id } errors { code message path } }
    }`;
    const input = { format: "CSV", filter: range };
    const { reportExport } = (await mine.request(create, { input })).reportExportCreate;
    const exported = `subscription ($id: ID!, $after: String) {
      reportExportChanged(id: $id, after: $after) { cursor reportExport { id } }
    }`;
    for await (const event of mine.live(exported, { id: reportExport.id })) {
      say(event.reportExport.id === reportExport.id);
      break;
    }
    const api = new Taskloom({ url, key, webSocket });
    const timer = "subscription ($after: String) { timerChanged(after: $after) { cursor kind } }";
    const again = `mutation {
      timerStart(input: {}) { errors { code } }
      timerStop(input: {}) { errors { code } }
    }`;
    const start = setInterval(() => void api.request(again), 500);
    for await (const event of api.live(timer)) {
      say(event.kind.startsWith("TIMER_"));
      break;
    }
    clearInterval(start);
  },

  async libraries() {
    const { tokens } = await hear();
    say(await throughLibraries(new Taskloom({ url, storage: memoryStorage(tokens), webSocket })));
  },

  async lists() {
    const { tokens } = await hear();
    await follow(new Taskloom({ url, storage: memoryStorage(tokens), webSocket }));
  },

  async edits() {
    say(await failing());
  },

  async faults() {
    await throughProxy(url, (await hear()).tokens);
  },

  async renewing() {
    const { expired, other } = await hear();
    await renewing(url, expired, other);
  },

  async rights() {
    await rights(url, await hear(), webSocket);
  },

  async crowd() {
    await crowd(url, (await hear()).tokens, webSocket);
  },

  /** One webhook request after the other. */
  async webhooks() {
    for (;;) {
      const { secrets, headers, body, now } = await hear();
      try {
        const bytes = Buffer.from(body, "base64");
        say({ json: await verifyWebhook(secrets, headers, bytes, now === null ? {} : { now }) });
      } catch (error: any) {
        say({ error: error.name });
      }
    }
  },
};

await programs[process.argv[2]!]!();
process.exit(0);
