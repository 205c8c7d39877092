/** Status, priority, assignee and due date of a task. */

import { useRef, useState } from "react";
import type { TaskPriority, TaskStatus } from "../generated/graphql.ts";
import { failed } from "../parts/messages.tsx";
import { dateOf } from "../parts/times.tsx";
import { useStore } from "../store.ts";
import { type Board, type Card, PRIORITY_NAMES, STATUS_NAMES, STATUSES } from "../project/board.ts";

export function Fields({ board, task }: { board: Board; task: Card }) {
  const disabled = !task.viewerCanEdit;
  const people = useStore(board.project).members.nodes.flatMap(({ user }) => (user ? [user] : []));
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
          {Object.entries(PRIORITY_NAMES).map(([priority, name]) => (
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
      <Due
        day={task.dueOn ?? (task.dueAt ? dateOf(task.dueAt) : "")}
        disabled={disabled}
        change={(dueOn) => change({ due: dueOn && { on: dueOn } }, { dueOn, dueAt: null })}
      />
    </div>
  );
}

interface DueProps {
  day: string;
  disabled: boolean;
  change: (day: string | null) => void;
}

function Due({ day, disabled, change }: DueProps) {
  const [draft, setDraft] = useState<string | null>(null);
  // A date that is typed is one already while its year has only one digit.
  const isTyping = useRef(false);

  function save(next: string | null) {
    isTyping.current = false;
    setDraft(null);
    if (next !== null && next !== day) change(next || null);
  }

  return (
    <label>
      Due
      <input
        type="date"
        disabled={disabled}
        value={draft ?? day}
        onPointerDown={() => (isTyping.current = false)}
        onKeyDown={({ key }) => {
          if (key === "Enter") save(draft);
          else if (key !== "Tab") isTyping.current = true;
        }}
        onChange={({ target }) => (isTyping.current ? setDraft(target.value) : save(target.value))}
        onBlur={() => save(draft)}
      />
    </label>
  );
}
