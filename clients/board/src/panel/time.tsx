/** Time that was spent on a task, and its timer. */

import { startTimer, stopTimer, timer } from "../header/timer.tsx";
import { Icon } from "../parts/icons.tsx";
import { Ago, duration } from "../parts/times.tsx";
import { useStore } from "../store.ts";
import { type Details, Part } from "./panel.tsx";

export function Time({ task }: { task: Details }) {
  const isRunning = useStore(timer)?.task?.id === task.id;
  const entries = task.timeEntries.nodes.filter((entry) => !entry.isRunning);
  return (
    <Part title="Time">
      <p className="row">
        <button
          type="button"
          onClick={() => void (isRunning ? stopTimer() : startTimer(task.id))}
        >
          <Icon name={isRunning ? "stop" : "play"} /> {isRunning ? "Stop timer" : "Start timer"}
        </button>
        <span className="quiet">
          {duration(task.tracked)} tracked
          {task.estimate !== null && ` of ${duration(task.estimate)}`}
        </span>
      </p>
      <ul className="entries">
        {entries.map(({ id, user, duration: seconds, startedAt, description }) => (
          <li key={id}>
            <span>
              {user?.displayName} {description && <span className="quiet">{description}</span>}
            </span>
            <span>{duration(seconds)}</span>
            {startedAt && <Ago at={startedAt} />}
          </li>
        ))}
      </ul>
    </Part>
  );
}
