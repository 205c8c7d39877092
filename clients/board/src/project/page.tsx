/** The board of a project, and the panel of the task that is open. */

import { useEffect, useState, useSyncExternalStore } from "react";
import type { Viewer } from "../app.tsx";
import { Panel } from "../panel/panel.tsx";
import { Person } from "../parts/person.tsx";
import { Trouble } from "../parts/trouble.tsx";
import { go, goOn } from "../route.ts";
import { useStore, useTitle } from "../store.ts";
import { type Board, type Card, STATUSES } from "./board.ts";
import { Column } from "./column.tsx";
import { useDrag } from "./drag.ts";
import { Ghost } from "./ghost.tsx";
import { elementOf } from "./pointer.ts";
import { type Other, usePresence } from "./presence.ts";
import { useBoard } from "./use-board.ts";

interface Props {
  projectKey: string;
  task: string | null;
  viewer: Viewer;
}

export function BoardPage({ projectKey, task, viewer }: Props) {
  const { board, error, retry } = useBoard(projectKey);
  if (error) return <Trouble error={error} retry={retry} />;
  if (!board) return <p className="loading">Loading …</p>;
  return <Loaded {...{ board, projectKey, task, viewer, retry }} />;
}

interface LoadedProps extends Props {
  board: Board;
  retry: () => void;
}

function Loaded({ board, projectKey, task, viewer, retry }: LoadedProps) {
  const { tasks } = board;
  const project = useStore(board.project);
  const items = useSyncExternalStore(tasks.subscribe, () => tasks.items);
  const error = useSyncExternalStore(tasks.subscribe, () => tasks.error);
  const [said, announce] = useState("");
  const drag = useDrag(board, announce);
  const open = items.find(({ identifier, id }) => identifier === task || id === task) ?? null;
  const others = usePresence(project.id, open?.id ?? null, viewer.user.id);

  useTitle(open ? `${open.identifier ?? ""} ${open.title}` : project.name);
  useEffect(() => {
    // It has another key now, and with it its tasks.
    if (project.key === projectKey) return;
    goOn(project.key, task?.replace(`${projectKey}-`, `${project.key}-`) ?? null);
  }, [project.key, projectKey, task]);

  if (error) return <Trouble error={error} retry={retry} />;
  return (
    <div className={task ? "split" : "split alone"}>
      <main className="board-page">
        <div className="title">
          <h1 className="written">{project.name}</h1>
          <Here others={others} items={items} />
          {project.archivedAt && (
            <p className="quiet">It is archived: nothing in it can be changed.</p>
          )}
          {tasks.hasNextPage && (
            <p className="quiet">Only the first {items.length} tasks are shown.</p>
          )}
        </div>
        <p id="how-to-move" hidden>
          Press Enter to open the task, and the arrow keys to go to others. Press Space to lift it,
          the arrow keys to move it, Space again to drop it, and Escape to leave it where it was.
        </p>
        <p id="how-to-go" hidden>
          Press Enter to open the task, and the arrow keys to go to others.
        </p>
        <div className={`columns ${drag.state ? "dragging" : ""}`}>
          {STATUSES.map((status) => (
            <Column
              key={status}
              status={status}
              board={board}
              items={items}
              drag={drag}
              others={others}
              open={open?.id ?? null}
            />
          ))}
        </div>
        <Ghost state={drag.state} />
        <p className="unseen" aria-live="assertive">
          {said}
        </p>
      </main>
      {task && (
        <Panel
          key={task}
          board={board}
          name={task}
          card={open}
          others={others}
          close={() => closed(project.key, open)}
        />
      )}
    </div>
  );
}

/** Back to the board, and to the card that was open. */
function closed(key: string, card: Card | null): void {
  go(key);
  requestAnimationFrame(() => elementOf(card?.id)?.focus());
}

/** “Grace is here”: who else is looking at this project. */
function Here({ others, items }: { others: readonly Other[]; items: readonly Card[] }) {
  if (others.length === 0) return null;
  const [first] = others;
  const more = others.length - 1;
  const verb = more === 0 ? "is" : `and ${more} ${more === 1 ? "other" : "others"} are`;
  const names = `${first!.user.displayName} ${verb} here`;
  return (
    <div className="here">
      {others.slice(0, 5).map(({ user, task }) => {
        const at = items.find(({ id }) => id === task)?.identifier;
        const where = at ? `is looking at ${at}` : "is here";
        return <Person key={user.id} person={user} label={`${user.displayName} ${where}`} />;
      })}
      <span className="quiet" role="status">
        {names}
      </span>
    </div>
  );
}
