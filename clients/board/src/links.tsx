/** Where links to tasks and projects lead: their boards. */

import { useEffect } from "react";
import { Alone } from "./alone.tsx";
import { api } from "./api.ts";
import { LinkedProjectDocument, LinkedTaskDocument } from "./generated/graphql.ts";
import { Trouble } from "./parts/trouble.tsx";
import { goOn } from "./route.ts";
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
  const load = () => api.request(LinkedTaskDocument, { id });
  const { data, error, reload } = useLoaded(`task ${id}`, load);
  const task = data?.task;
  const key = task?.project?.key;
  useEffect(() => {
    if (task && key) goOn(key, task.identifier);
  }, [task, key]);
  if (error) return <Trouble error={error} retry={reload} />;
  if (!task || key) return <p className="loading">Loading …</p>;
  return <Alone key={task.id} id={task.id} after={data!.eventCursor} />;
}
