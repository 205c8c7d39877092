/** What can be changed on a board. */

import {
  CreateCommentDocument,
  CreateTaskDocument,
  MoveTaskDocument,
  UpdateTaskDocument,
} from "./generated/graphql.ts";
import type { Text } from "./parts/conflict.tsx";

export const DOCUMENTS = {
  create: CreateTaskDocument,
  update: UpdateTaskDocument,
  move: MoveTaskDocument,
  comment: CreateCommentDocument,
};

/** A change. `task` is the task that it is about, `values` what it will have. */
export interface Change {
  kind: keyof typeof DOCUMENTS;
  task: string;
  input: Record<string, unknown>;
  values: Record<string, unknown>;
  /** Set if its author is to be asked when somebody else has changed this text, too. */
  text?: Text;
}

/** A change of a text of a task. */
export function textChange(task: string, text: Text): Change {
  const values = { [text.field]: text.mine };
  const input = { id: task, ...values, ifVersion: text.base.version };
  return { kind: "update", task, input, values, text };
}

/** What its author has written, if that is not a choice. */
export function wordsOf({ kind, input, text }: Change): string | null {
  if (text) return text.mine;
  if (kind === "comment") return String(input.body);
  return kind === "create" ? String(input.title) : null;
}
