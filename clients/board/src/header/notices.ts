/** Notifications in words. */

import type { NoticeFragment, NotificationKind } from "../generated/graphql.ts";

const SENTENCES: Partial<Record<NotificationKind, (who: string, task: string) => string>> = {
  TASK_SHARED_WITH_ME: (who, task) => `${who} shared ${task} with you`,
  TASK_ASSIGNED_TO_ME: (who, task) => `${who} assigned ${task} to you`,
  TASK_COMPLETED: (who, task) => `${who} completed ${task}`,
  COMMENT_ON_MY_TASK: (who, task) => `${who} commented on ${task}`,
  MENTIONED: (who, task) => `${who} mentioned you on ${task}`,
  TASK_DUE_SOON: (_, task) => `${task} is due soon`,
  REMINDER: (_, task) => `Reminder: ${task}`,
};

/** One that is not about a task has a text of its own; kinds may be added. */
export function textOf({ kind, message, actor, task }: NoticeFragment): string {
  if (message) return message;
  const title = task ? `“${task.title}”` : "a task that you cannot see any more";
  const sentence = SENTENCES[kind] ?? ((_: string, task: string) => `News about ${task}`);
  return sentence(actor?.displayName ?? "Somebody", title);
}
