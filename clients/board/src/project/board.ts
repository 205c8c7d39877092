/** The tasks of a project: read once, kept up to date by events, and changed at once. */

import { type WatchedList, orderBy, watchList } from "@taskloom/client";
import { api } from "../api.ts";
import { type Change, textChange, wordsOf } from "../changes.ts";
import {
  type CardFragment,
  type EventFilter,
  ProjectDocument,
  type ProjectQuery,
  TaskEventsDocument,
  TasksDocument,
  type TaskPriority,
  type TaskStatus,
} from "../generated/graphql.ts";
import { outbox } from "../outbox.ts";
import type { Text } from "../parts/conflict.tsx";
import { refused } from "../parts/refused.tsx";
import { Store } from "../store.ts";
import { newId, placeOf } from "./places.ts";

export type Card = CardFragment;
export type Project = NonNullable<ProjectQuery["project"]>;

export const STATUSES = ["TODO", "IN_PROGRESS", "COMPLETED", "CANCELLED"] as const;
export const STATUS_NAMES: Record<TaskStatus, string> = {
  TODO: "To do",
  IN_PROGRESS: "In progress",
  COMPLETED: "Done",
  CANCELLED: "Cancelled",
};

export const PRIORITY_NAMES: Record<TaskPriority, string> = {
  NONE: "No priority",
  LOW: "Low",
  MEDIUM: "Medium",
  HIGH: "High",
  URGENT: "Urgent",
};

// More are not shown; a board of thousands of cards helps nobody.
const MOST_PAGES = 6;

interface Touched {
  task: string;
  parent: string | null;
}

export class Board {
  readonly #stop: () => void;

  private constructor(
    readonly project: Store<Project>,
    readonly tasks: WatchedList<Card>,
    /**
     * The task of the latest event and its parent, for what is read beside the cards; null if it
     * was about the project, whose tasks may then all have other rights.
     */
    readonly touched: Store<Touched | null>,
  ) {
    // The outbox says what becomes of them.
    this.#stop = outbox.leftOver((change, done) => {
      if (this.#isShown(change)) this.#show(change, () => done).catch(() => {});
    });
  }

  static async open(key: string): Promise<Board> {
    const read = async (id: string) => (await api.request(ProjectDocument, { id })).project!;
    const project = new Store(await read(key));
    const { id } = project.value;
    const filter = { project: { id: { eq: id } }, parent: { isNull: true } };
    const touched = new Store<Touched | null>(null);
    const tasks: WatchedList<Card> = await watchList<Card>({
      async read(after) {
        const { tasks, eventCursor } = await api.request(TasksDocument, { filter, after });
        return { ...tasks, cursor: eventCursor! };
      },
      async *listen(after, signal) {
        const variables = { filter: eventsOf(id), after };
        for await (const event of api.live(TaskEventsDocument, variables, { signal })) {
          if (event.kind.startsWith("PROJECT_")) {
            // It may be archived, or one's role may be another one. Events go on from here.
            project.set(await read(id));
            await tasks.refresh();
            touched.set(null);
            continue;
          }
          const parent = event.task?.parent?.id ?? null;
          yield { ...event, matches: event.matches && !parent };
          const task = event.task?.id ?? event.subjectId;
          if (task) touched.set({ task, parent });
        }
      },
      order: orderBy([{ position: "ASC" }]),
    });
    for (let page = 1; tasks.hasNextPage && page < MOST_PAGES; page += 1) await tasks.more();
    return new Board(project, tasks, touched);
  }

  close(): void {
    this.#stop();
    this.tasks.close();
  }

  /** Move a card to a column, before another card of it or to its end. */
  move(card: Card, status: TaskStatus, before: Card | null): void {
    const { place, position } = placeOf(this.tasks.items, card, status, before);
    if (!place && status === card.status) return;
    const input = { id: card.id, status, ...(place && { place }) };
    this.#change({ kind: "move", task: card.id, input, values: { status, position } });
  }

  /** Change fields. `values` are what the card shows meanwhile; the promise fails with the change. */
  update(card: Card, input: object, values: object): Promise<Card | null> {
    const change = { task: card.id, input: { id: card.id, ...input }, values: { ...values } };
    return this.#show({ ...change, kind: "update" });
  }

  /** Change a text. Its author is asked if somebody else has changed it meanwhile. */
  write(card: Card, text: Omit<Text, "of">): Promise<Card | null> {
    return this.#show(textChange(card.id, { ...text, of: card.identifier ?? card.title }));
  }

  create(title: string, status: TaskStatus): void {
    const id = newId("task");
    const last = this.tasks.items.at(-1);
    const values: Card = {
      id,
      title,
      status,
      identifier: null,
      description: null,
      priority: "NONE",
      position: `${last?.position ?? ""}~`,
      dueAt: null,
      dueOn: null,
      isOverdue: false,
      tags: [],
      commentCount: 0,
      attachmentCount: 0,
      assignee: null,
      project: { id: this.project.value.id },
      parent: null,
      viewerCanEdit: false,
      version: 0,
    };
    const input = { id, title, status, projectId: this.project.value.id };
    this.#change({ kind: "create", task: id, input, values: { ...values } });
  }

  /** Whether a change from before is one of this board. */
  #isShown({ kind, values }: Change): boolean {
    const { project } = values as Partial<Card>;
    return kind !== "comment" && (kind !== "create" || project?.id === this.project.value.id);
  }

  #change(change: Change): void {
    this.#show(change).catch((error: unknown) => refused(wordsOf(change), error));
  }

  #show(change: Change, send = (id?: string) => outbox.send(change, id)): Promise<Card | null> {
    const isHere = this.tasks.items.some(({ id }) => id === change.task);
    // A subtask has no card.
    if (!isHere && change.kind !== "create")
      return send().finally(() => this.touched.set({ task: change.task, parent: null }));
    return this.tasks.change(change.task, change.values as Partial<Card>, send);
  }
}

/** What a board follows: its tasks, and the project itself with its members. */
function eventsOf(id: string): EventFilter {
  const project = { id: { eq: id } };
  // Also of subtasks, which have no cards and are shown in panels.
  return { project, or: [{ task: { project } }, { subjectType: ["PROJECT", "PROJECT_MEMBER"] }] };
}
