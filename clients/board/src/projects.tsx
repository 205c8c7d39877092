/** All projects that one can see, and one's tasks that are on no board. */

import { api } from "./api.ts";
import { useEvents } from "./events.ts";
import { type EventFilter, ProjectsDocument } from "./generated/graphql.ts";
import { StatusIcon } from "./parts/icons.tsx";
import { Trouble } from "./parts/trouble.tsx";
import { STATUS_NAMES } from "./project/board.ts";
import { linkTo, linkToTask } from "./route.ts";
import { useLoaded, useTitle } from "./store.ts";

// What adds to the lists, renames or takes away. The numbers of tasks are those of now and then.
const ABOUT: EventFilter = { subjectType: ["PROJECT", "PROJECT_MEMBER", "TASK_SHARE"] };

export function Projects() {
  const { data, error, reload } = useLoaded("projects", () => api.request(ProjectsDocument));
  useTitle("Projects");
  useEvents(ABOUT, data?.eventCursor, reload);
  if (error) return <Trouble error={error} retry={reload} />;
  if (!data) return <p className="loading">Loading …</p>;
  const projects = data.projects!.nodes;
  const tasks = data.tasks.nodes;
  return (
    <main className="projects">
      <h1>Projects</h1>
      {projects.length === 0 && <p>You are not a member of any project yet.</p>}
      <ul hidden={projects.length === 0}>
        {projects.map(({ id, key, name, color, stats }) => (
          <li key={id}>
            <a href={linkTo(key)}>
              <span className="swatch" style={{ background: color ?? "var(--faint)" }} />
              <strong className="written">{name}</strong>
              <span className="quiet">{key}</span>
              <meter
                aria-label={`${stats!.completed} of ${stats!.total} tasks are done`}
                value={stats!.completed}
                max={Math.max(1, stats!.total)}
              />
              <span className="quiet count">{stats!.open} open</span>
            </a>
          </li>
        ))}
      </ul>
      {tasks.length > 0 && (
        <>
          <h2>Open tasks that are on no board</h2>
          <ul>
            {tasks.map((task) => (
              <li key={task.id}>
                <a href={linkToTask(task)}>
                  <StatusIcon status={task.status} name={STATUS_NAMES[task.status]} />
                  <span className="written">{task.title}</span>
                </a>
              </li>
            ))}
          </ul>
          {data.tasks.pageInfo.hasNextPage && <p className="quiet">There are more.</p>}
        </>
      )}
    </main>
  );
}
