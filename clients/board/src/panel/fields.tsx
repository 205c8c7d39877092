/** Status, priority, assignee and due date of a task. */

import type { TaskPriority, TaskStatus } from "../generated/graphql.ts";
import { failed } from "../parts/messages.tsx";
import { dateOf } from "../parts/times.tsx";
import { type Board, type Card, STATUS_NAMES, STATUSES } from "../project/board.ts";

const PRIORITIES: Record<TaskPriority, string> = {
  NONE: "No priority",
  LOW: "Low",
  MEDIUM: "Medium",
  HIGH: "High",
  URGENT: "Urgent",
};

export function Fields({ board, task }: { board: Board; task: Card }) {
  const disabled = !task.viewerCanEdit;
  const people = board.project.members.nodes.flatMap(({ user }) => (user ? [user] : []));
  // The assignee need not be a member.
  if (task.assignee && !people.some(({ id }) => id === task.assignee!.id))
    people.push(task.assignee);

  function change(input: object, values: object) {
    board.update(task, input, values).catch(failed);
  }

  return (
    <div className="fields">
      <label>
        Status
        <select
          value={task.status}
          disabled={disabled}
          onChange={(event) => {
            const status = event.target.value as TaskStatus;
            change({ status }, { status });
          }}
        >
          {STATUSES.map((status) => (
            <option key={status} value={status}>
              {STATUS_NAMES[status]}
            </option>
          ))}
        </select>
      </label>
      <label>
        Priority
        <select
          value={task.priority}
          disabled={disabled}
          onChange={(event) => {
            const priority = event.target.value as TaskPriority;
            change({ priority }, { priority });
          }}
        >
          {Object.entries(PRIORITIES).map(([priority, name]) => (
            <option key={priority} value={priority}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label>
        Assignee
        <select
          value={task.assignee?.id ?? ""}
          disabled={disabled}
          onChange={(event) => {
            const assignee = people.find(({ id }) => id === event.target.value) ?? null;
            change({ assigneeId: assignee?.id ?? null }, { assignee });
          }}
        >
          <option value="">Nobody</option>
          {people.map(({ id, displayName }) => (
            <option key={id} value={id}>
              {displayName}
            </option>
          ))}
        </select>
      </label>
      <label>
        Due
        <input
          type="date"
          disabled={disabled}
          value={task.dueOn ?? (task.dueAt ? dateOf(task.dueAt) : "")}
          onChange={(event) => {
            const dueOn = event.target.value || null;
            change({ due: dueOn && { on: dueOn } }, { dueOn, dueAt: null });
          }}
        />
      </label>
    </div>
  );
}
