/** Where links to tasks and projects lead: their boards. */

import { useEffect } from "react";
import { api } from "./api.ts";
import { LinkedProjectDocument, LinkedTaskDocument } from "./generated/graphql.ts";
import { StatusIcon } from "./parts/icons.tsx";
import { Person } from "./parts/person.tsx";
import { Trouble } from "./parts/trouble.tsx";
import { goOn, linkTo } from "./route.ts";
import { useLoaded } from "./store.ts";

export function LinkedProject({ id }: { id: string }) {
  const load = async () => (await api.request(LinkedProjectDocument, { id })).project!;
  const { data, error, reload } = useLoaded(`project ${id}`, load);
  useEffect(() => {
    if (data) goOn(data.key);
  }, [data]);
  return error ? <Trouble error={error} retry={reload} /> : <p className="loading">Loading …</p>;
}

export function LinkedTask({ id }: { id: string }) {
  const load = async () => (await api.request(LinkedTaskDocument, { id })).task!;
  const { data: task, error, reload } = useLoaded(`task ${id}`, load);
  const key = task?.project?.key;
  useEffect(() => {
    if (task && key) goOn(key, task.identifier);
    else if (task) document.title = `${task.title} · Taskloom`;
  }, [task, key]);
  if (error) return <Trouble error={error} retry={reload} />;
  if (!task || key) return <p className="loading">Loading …</p>;
  return (
    <main className="linked-task">
      <h1>{task.title}</h1>
      <p className="row quiet">
        <StatusIcon status={task.status} />
        {task.assignee && <Person person={task.assignee} label={task.assignee.displayName} />}
        This task is in no project that you can see, so it is on no board.
      </p>
      {task.descriptionHtml && (
        <div className="prose" dangerouslySetInnerHTML={{ __html: task.descriptionHtml }} />
      )}
      <p>
        <a href={linkTo(null)}>All projects</a>
      </p>
    </main>
  );
}
