/** Everything about one task, beside the board; on a phone, instead of it. */

import { type ReactNode, createContext, useContext, useEffect, useRef } from "react";
import { api } from "../api.ts";
import { PanelDocument, type PanelQuery } from "../generated/graphql.ts";
import { Icon, StatusIcon } from "../parts/icons.tsx";
import { Person } from "../parts/person.tsx";
import { Ago } from "../parts/times.tsx";
import { Trouble } from "../parts/trouble.tsx";
import { type Board, type Card, STATUS_NAMES } from "../project/board.ts";
import type { Other } from "../project/presence.ts";
import { linkTo } from "../route.ts";
import { useLoaded, useMedia, useStore } from "../store.ts";
import { Comments } from "./comments.tsx";
import { Description, Title } from "./texts.tsx";
import { Fields } from "./fields.tsx";
import { Files } from "./files.tsx";
import { Time } from "./time.tsx";

export type Details = NonNullable<PanelQuery["task"]>;

// Events that come together are one reason to read again.
const TOGETHER_MS = 120;

// So narrow, the panel is shown instead of the board; as in the style sheet.
const NARROW = "(max-width: 860px)";

/** The level that the headings of parts have. */
export const Level = createContext<"h2" | "h3">("h3");

interface Props {
  board: Board;
  /** The task's identifier, or its ID. */
  name: string;
  card: Card | null;
  others: readonly Other[];
  close: () => void;
}

export function Panel({ board, name, card, others, close }: Props) {
  // By its ID once that is known: an identifier changes when the task moves to another project.
  const known = useRef<string | null>(null);
  known.current ??= card?.id ?? null;
  const load = async () => {
    const { task } = await api.request(PanelDocument, { id: known.current ?? name });
    known.current = task!.id;
    return task;
  };
  const { data, error, reload } = useLoaded(name, load);
  const panel = useRef<HTMLElement>(null);
  const id = data?.id ?? card?.id;

  useEffect(() => panel.current?.focus(), []);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = board.touched.subscribe(() => {
      const touched = board.touched.value;
      if (touched && touched.task !== id && touched.parent !== id) return;
      clearTimeout(timer);
      timer = setTimeout(reload, TOGETHER_MS);
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [board, id, reload]);

  const project = useStore(board.project);
  // The card is newer than what was read: it shows changes that are under way.
  const task = card ?? data;
  const here = others.filter((other) => other.task === id);
  // On a phone it is the page.
  const isPage = useMedia(NARROW);
  const Element = isPage ? "main" : "aside";
  const Heading = isPage ? "h1" : "h2";
  return (
    <Element
      ref={panel}
      className="panel"
      tabIndex={-1}
      aria-label={`Task ${task?.identifier ?? name}`}
      onKeyDown={(event) => event.key === "Escape" && !event.defaultPrevented && close()}
    >
      <header>
        <Heading className="quiet">{task?.identifier ?? name}</Heading>
        {here.map(({ user }) => (
          <Person key={user.id} person={user} label={`${user.displayName} is looking at it too`} />
        ))}
        <button type="button" className="bare" aria-label="Close" onClick={close}>
          <Icon name="close" />
        </button>
      </header>
      {Boolean(error) && !data && (
        <Trouble error={error} retry={reload} heading={isPage ? "h2" : "h3"} />
      )}
      {data && data.project?.id !== project.id && (
        <p className="row" role="status">
          This task is not in {project.name} any more.
          <a href={`#/tasks/${data.id}`}>Go to where it is</a>
        </p>
      )}
      {task && <Title key={`title ${task.id}`} board={board} task={task} />}
      {task && <Fields board={board} task={task} />}
      {data && task && (
        <Level value={isPage ? "h2" : "h3"}>
          <Parts board={board} task={task} data={data} reload={reload} />
        </Level>
      )}
    </Element>
  );
}

interface PartsProps {
  board: Board;
  task: Card;
  data: Details;
  reload: () => void;
}

function Parts({ board, task, data, reload }: PartsProps) {
  const project = useStore(board.project);
  return (
    <>
      <Description board={board} task={task} html={data.descriptionHtml} />
      {data.subtasks.nodes.length > 0 && (
        <Part title="Subtasks">
          <ul className="subtasks">
            {data.subtasks.nodes.map(({ id, identifier, title, status }) => (
              <li key={id}>
                <StatusIcon status={status} name={STATUS_NAMES[status]} />
                <span className="quiet">{identifier}</span>
                <a className="written" href={linkTo(project.key, identifier)}>
                  {title}
                </a>
              </li>
            ))}
          </ul>
          {data.subtasks.pageInfo.hasNextPage && (
            <p className="quiet">More subtasks are not shown here.</p>
          )}
        </Part>
      )}
      <Files task={data} reload={reload} />
      <Time task={data} />
      <Comments task={data} reload={reload} />
      <History task={data} />
    </>
  );
}

export function History({ task }: { task: Details }) {
  return (
    <Part title="History">
      <ul className="history">
        {task.activity.nodes.map(({ id, at, summary }) => (
          <li key={id}>
            {summary} <Ago at={at} />
          </li>
        ))}
      </ul>
    </Part>
  );
}

export function Part({ title, children }: { title: string; children: ReactNode }) {
  const Heading = useContext(Level);
  return (
    <section aria-label={title}>
      <Heading>{title}</Heading>
      {children}
    </section>
  );
}
