/** A task that is on no board: a personal one, or one of a project that only others see. */

import { api } from "./api.ts";
import { useEvents } from "./events.ts";
import { PanelDocument, type TaskStatus } from "./generated/graphql.ts";
import { outbox } from "./outbox.ts";
import { Comments } from "./panel/comments.tsx";
import { Files } from "./panel/files.tsx";
import { type Details, History, Level } from "./panel/panel.tsx";
import { Time } from "./panel/time.tsx";
import { StatusIcon } from "./parts/icons.tsx";
import { failed } from "./parts/messages.tsx";
import { Person } from "./parts/person.tsx";
import { Trouble } from "./parts/trouble.tsx";
import { STATUS_NAMES } from "./project/board.ts";
import { linkTo } from "./route.ts";
import { useLoaded, useTitle } from "./store.ts";

interface Props {
  id: string;
  /** The cursor from which its events are followed. */
  after: string | null;
}

export function Alone({ id, after }: Props) {
  const load = async () => (await api.request(PanelDocument, { id })).task!;
  const { data: task, error, reload } = useLoaded(`alone ${id}`, load);
  useTitle(task?.title);
  useEvents({ task: { id: { eq: id } } }, after, reload);
  if (error) return <Trouble error={error} retry={reload} />;
  if (!task) return <p className="loading">Loading …</p>;
  return (
    <main className="linked-task">
      <h1 className="written">{task.title}</h1>
      <p className="row quiet">
        <StatusIcon status={task.status} />
        <span>{STATUS_NAMES[task.status]}</span>
        {task.assignee && (
          <Person person={task.assignee} label={`Assigned to ${task.assignee.displayName}`} />
        )}
        <span>It is in no project that you can see, so it is on no board.</span>
      </p>
      {task.viewerCanEdit && <Done task={task} reload={reload} />}
      {task.descriptionHtml && (
        <div className="prose" dangerouslySetInnerHTML={{ __html: task.descriptionHtml }} />
      )}
      <Level value="h2">
        <Files task={task} reload={reload} />
        <Time task={task} />
        <Comments task={task} reload={reload} />
        <History task={task} />
      </Level>
      <p>
        <a href={linkTo(null)}>All projects</a>
      </p>
    </main>
  );
}

function Done({ task, reload }: { task: Details; reload: () => void }) {
  const isOpen = task.status === "TODO" || task.status === "IN_PROGRESS";
  const status: TaskStatus = isOpen ? "COMPLETED" : "TODO";
  const input = { id: task.id, status };
  function change() {
    outbox.send({ kind: "update", task: task.id, input, values: {} }).then(reload, failed);
  }
  return (
    <p>
      <button type="button" onClick={change}>
        {isOpen ? "Mark as done" : "Reopen"}
      </button>
    </p>
  );
}
