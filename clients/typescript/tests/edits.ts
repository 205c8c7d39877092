/** A list and what may happen to it, step by step. */

import { deepEqual, equal, rejects } from "node:assert/strict";

import { ConflictError, type ListEvent, LiveList, orderBy, watchList } from "@taskloom/client";

interface Task {
  id: string;
  version: number;
  title: string;
  project?: { id: string };
}

const task = (id: string, version: number, title: string): Task => ({ id, version, title });
const event = (task: Task | null, more: Partial<ListEvent<Task>> = {}): ListEvent<Task> => ({
  ...{ kind: "TASK_UPDATED", matches: true, subjectId: task?.id ?? null, task },
  ...more,
});
const begun = (nodes: Task[], hasNextPage = false) =>
  new LiveList({ nodes, pageInfo: { hasNextPage, endCursor: "end" } }, orderBy([{ title: "ASC" }]));
const titles = (list: LiveList<Task>) => list.items.map(({ title }) => title).join(" ");

/** An answer that comes when the story wants it. */
function answer(): { send: () => Promise<Task>; give: (task: Task) => void; fail: (error: Error) => void } {
  let give!: (task: Task) => void;
  let fail!: (error: Error) => void;
  const promise = new Promise<Task>((resolve, reject) => ([give, fail] = [resolve, reject]));
  return { send: () => promise, give, fail };
}

const steps: Record<string, () => Promise<void> | void> = {
  "an older state replaces no newer one"() {
    const list = begun([task("1", 3, "c")]);
    list.apply(event(task("1", 2, "b")));
    list.put(task("1", 2, "a"));
    equal(titles(list), "c");
  },
  "an answer brings back nothing that was deleted"() {
    const list = begun([task("1", 3, "c")]);
    list.apply(event(null, { matches: false, subjectId: "1", kind: "TASK_DELETED" }));
    list.put(task("1", 4, "d"));
    equal(titles(list), "");
    list.apply(event(task("1", 5, "e")));
    equal(titles(list), "e");
  },
  "an answer brings back nothing that left the filter"() {
    const list = begun([task("1", 3, "c")]);
    list.apply(event(task("1", 4, "d"), { matches: false }));
    list.put(task("1", 4, "d"));
    equal(titles(list), "");
    list.put(task("1", 5, "e"));
    equal(titles(list), "e");
  },
  "what lies behind the last page is not shown before it is read"() {
    const list = begun([task("1", 1, "b"), task("2", 1, "d")], true);
    list.apply(event(task("3", 1, "e")));
    list.apply(event(task("4", 1, "c")));
    equal(titles(list), "b c d");
    list.apply(event(task("2", 2, "f")));
    equal(titles(list), "b c");
    const pageInfo = { hasNextPage: false, endCursor: null };
    list.append({ nodes: [task("3", 1, "e"), task("2", 2, "f")], pageInfo });
    equal(titles(list), "b c e f");
  },
  "events during the reading of a page hold"() {
    const list = begun([task("1", 1, "b")], true);
    const left = event(null, { matches: false, subjectId: "2", kind: "TASK_DELETED" });
    list.apply(left);
    const pageInfo = { hasNextPage: false, endCursor: null };
    list.append({ nodes: [task("2", 1, "c"), task("3", 1, "d")], pageInfo }, [left]);
    equal(titles(list), "b d");
  },
  "a lost project takes its tasks along"() {
    const list = begun([{ ...task("1", 1, "a"), project: { id: "p" } }, task("2", 1, "b")]);
    list.apply(event(null, { matches: false, subjectId: "p", kind: "ACCESS_LOST" }));
    equal(titles(list), "b");
  },
  async "a change is shown at once, in its place, and taken back"() {
    const list = begun([task("1", 1, "b"), task("2", 1, "d")]);
    const { send, fail } = answer();
    const changed = list.change("1", { title: "e" }, send);
    equal(titles(list), "d e");
    list.apply(event(task("2", 2, "f")));
    equal(titles(list), "e f");
    fail(new Error("no"));
    await rejects(changed, /no/);
    equal(titles(list), "b f");
  },
  async "after a conflict the current state is shown"() {
    const list = begun([task("1", 1, "b")]);
    const data = { taskUpdate: { task: task("1", 5, "theirs"), errors: [] } };
    const conflict = new ConflictError([], data);
    await rejects(list.change("1", { title: "mine" }, () => Promise.reject(conflict)));
    equal(titles(list), "theirs");
  },
  async "an echo ends a change before its answer"() {
    const list = begun([task("1", 1, "b")]);
    const { send, give } = answer();
    let requestId = "";
    const changed = list.change("1", { title: "mine" }, (id) => ((requestId = id), send()));
    list.apply(event(task("1", 2, "theirs, before")));
    equal(titles(list), "mine");
    list.apply(event(task("1", 3, "mine, as stored"), { requestId }));
    equal(titles(list), "mine, as stored");
    list.apply(event(task("1", 4, "theirs, after")));
    give(task("1", 3, "mine, as stored"));
    await changed;
    equal(titles(list), "theirs, after");
  },
  async "a hidden task does not flicker"() {
    const list = begun([task("1", 1, "b")]);
    const shown: string[] = [];
    list.subscribe(() => shown.push(titles(list)));
    await list.change("1", null, () => Promise.resolve(task("1", 2, "b")));
    list.apply(event(task("1", 2, "b"), { matches: false }));
    deepEqual(new Set(shown), new Set([""]));
    await list.change("1", null, () => Promise.reject(new Error("no"))).catch(() => {});
    list.apply(event(task("1", 3, "b")));
    equal(titles(list), "b");
  },
  async "a new task is shown once, also if its ID changes"() {
    const list = begun([task("1", 1, "b")]);
    const { send, give } = answer();
    let requestId = "";
    const made = list.change("new", task("new", 0, "c"), (id) => ((requestId = id), send()));
    equal(titles(list), "b c");
    list.apply(event(task("2", 1, "c"), { requestId, kind: "TASK_CREATED" }));
    equal(titles(list), "b c");
    give(task("2", 1, "c"));
    await made;
    deepEqual(list.items, [task("1", 1, "b"), task("2", 1, "c")]);
  },
  async "a list that cannot be read again goes on as it was"() {
    let reads = 0;
    let tell!: (event: ListEvent<Task>) => void;
    const list = await watchList<Task>({
      async read() {
        if ((reads += 1) > 1) throw new Error("away");
        const pageInfo = { hasNextPage: false, endCursor: null };
        return { nodes: [task("1", 1, "b")], pageInfo, cursor: "now" };
      },
      async *listen() {
        for (;;) yield await new Promise<ListEvent<Task>>((resolve) => (tell = resolve));
      },
    });
    await rejects(list.refresh(), /away/);
    tell(event(task("2", 1, "c")));
    await new Promise((go) => setTimeout(go));
    equal(titles(list), "b c");
    equal(list.error, null);
    list.close();
  },
  "items are the same until something changes"() {
    const list = begun([task("1", 1, "b")]);
    const { items } = list;
    list.apply(event(task("1", 1, "b")));
    list.apply(event(null, { matches: false, subjectId: "unknown" }));
    equal(list.items, items);
  },
};

/** The steps that fail, and why. */
export async function failing(): Promise<string[]> {
  const failed = [];
  for (const [name, step] of Object.entries(steps))
    try {
      await step();
    } catch (error) {
      failed.push(`${name}: ${String(error)}`);
    }
  return failed;
}
