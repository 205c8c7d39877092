/** Lists that follow a story of changes, some of which are made here, optimistically. */

import {
  ConflictError,
  type Taskloom,
  type WatchedList,
  orderBy,
  watchList,
} from "@taskloom/client";

import {
  type CardFragment,
  EventsDocument,
  type TaskFilter,
  type TaskOrder,
  TasksDocument,
  UpdateDocument,
} from "./generated/graphql.ts";
import { hear, say } from "./talk.ts";

/** What the test wants to see. */
interface Wanted {
  filter: TaskFilter;
  order: TaskOrder[];
  first: number;
  /** The cursor to listen from at first, instead of the right one. */
  cursor?: string;
}

/** Follow the lists, and do what the test says until it says nothing more. */
export async function follow(api: Taskloom): Promise<void> {
  const markers = new Map<string, number>();
  const lists = await Promise.all(((await hear()) as Wanted[]).map((one) => watch(api, one, markers)));
  const working = new Set<Promise<unknown>>();
  let flaws: string[] = [];
  for (;;) {
    say("ready");
    const { said, list = 0, ...more } = await hear();
    const one = lists[list]!;
    if (said === "more") working.add(one.more());
    if (said === "change") working.add(change(api, one, more.title, more.breaks, flaws));
    if (said === "settle") await Promise.all(working);
    if (said === "compare") {
      // Each list gets the event of the last task that the test has made.
      while (markers.get(more.marker) !== lists.length) await new Promise((go) => setTimeout(go, 10));
      const shown = lists.map(({ items, hasNextPage, error }) => ({ items, hasNextPage, error }));
      say({ lists: shown, flaws });
    }
    if (said === "end") return;
  }
}

function watch(api: Taskloom, wanted: Wanted, markers: Map<string, number>): Promise<WatchedList<CardFragment>> {
  const { filter, order, first } = wanted;
  return watchList<CardFragment>({
    async read(after) {
      const data = await api.request(TasksDocument, { filter, orderBy: order, first, after });
      return { ...data.tasks, cursor: data.eventCursor };
    },
    async *listen(current, signal) {
      const after = wanted.cursor ?? current;
      delete wanted.cursor;
      const variables = { filter: { task: filter }, after };
      for await (const event of api.live(EventsDocument, variables, { signal })) {
        yield event;
        const title = event.task?.title ?? "";
        if (event.kind === "TASK_CREATED") markers.set(title, (markers.get(title) ?? 0) + 1);
      }
    },
    order: orderBy(order),
  });
}

/** Change the title of the list's first task; `breaks`: in vain. */
async function change(
  api: Taskloom,
  list: WatchedList<CardFragment>,
  title: string,
  breaks: "conflict" | "input" | null,
  flaws: string[],
): Promise<void> {
  const [task] = list.items;
  if (!task) return;
  const { id } = task;
  const shown = () => list.items.find((item) => item.id === id)?.title;
  const input = {
    ...{ id, title: breaks === "input" ? "" : title },
    ...(breaks === "conflict" && { ifVersion: 0 }),
  };
  const made = list.change(id, { title }, async (requestId) => {
    if (shown() !== title) flaws.push(`${title} is not shown at once`);
    return (await api.request(UpdateDocument, { input }, { requestId })).taskUpdate.task;
  });
  try {
    await made;
    if (breaks) flaws.push(`${title} should have failed`);
  } catch (error: any) {
    if (breaks === null || (breaks === "conflict" && !(error instanceof ConflictError)))
      flaws.push(`${title}: ${error}`);
    if (shown() === title) flaws.push(`${title} was not taken back`);
  }
}
