/** Icons that say the same as words beside them, perhaps unseen; screen readers leave them out. */

import type { TaskPriority, TaskStatus } from "../generated/graphql.ts";

const PATHS = {
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9m3.3 7.8 3.2 3.2",
  bell: "M8 2a4 4 0 0 0-4 4v3l-1.2 2.2h10.4L12 9V6a4 4 0 0 0-4-4M6.5 13.5h3",
  play: "M5 3.5v9l7.5-4.5z",
  stop: "M4.5 4.5h7v7h-7z",
  close: "M4 4l8 8M12 4l-8 8",
  comment: "M2.5 3.5h11v7h-6l-3 2.5v-2.5h-2z",
  file: "M11.5 7.5 7 12a2.5 2.5 0 0 1-3.5-3.5l5-5a1.7 1.7 0 0 1 2.4 2.4l-5 5",
  clock: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M8 5v3l2 1.5",
  plus: "M8 3v10M3 8h10",
  exit: "M6 2.5H3v11h3M10 5l3 3-3 3M13 8H6",
};

export function Icon({ name }: { name: keyof typeof PATHS }) {
  return (
    <svg className="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

const CHECK = "M5 8.2 7.2 10.4 11 6";
const CROSS = "M6 6l4 4M10 6l-4 4";

/** With its name for screen readers, unless it stands beside that. */
export function StatusIcon({ status, name }: { status: TaskStatus; name?: string }) {
  return (
    <>
      <StatusSign status={status} />
      {name && <span className="unseen">{name}</span>}
    </>
  );
}

function StatusSign({ status }: { status: TaskStatus }) {
  return (
    <svg className={`icon status ${status.toLowerCase()}`} viewBox="0 0 16 16" aria-hidden="true">
      <circle cx="8" cy="8" r="5.5" />
      {status === "IN_PROGRESS" && <path className="half" d="M8 5a3 3 0 0 1 0 6z" />}
      {status === "COMPLETED" && <path d={CHECK} />}
      {status === "CANCELLED" && <path d={CROSS} />}
    </svg>
  );
}

const BARS: Record<TaskPriority, number> = { NONE: 0, LOW: 1, MEDIUM: 2, HIGH: 3, URGENT: 4 };

export function PriorityIcon({ priority }: { priority: TaskPriority }) {
  const bars = BARS[priority];
  const urgent = priority === "URGENT";
  return (
    <svg className={`icon bars ${urgent ? "urgent" : ""}`} viewBox="0 0 16 16" aria-hidden="true">
      {[1, 2, 3].map((n) => (
        <rect
          key={n}
          x={4 * n - 2}
          y={12 - 3 * n}
          width="2.6"
          height={3 * n + 1}
          rx="0.8"
          opacity={n <= bars ? 1 : 0.25}
        />
      ))}
    </svg>
  );
}
