/** One status of a board: its cards in their order, and a field for a new one. */

import { type FormEvent, useState } from "react";
import type { TaskStatus } from "../generated/graphql.ts";
import { Icon, StatusIcon } from "../parts/icons.tsx";
import { useStore } from "../store.ts";
import { type Board, type Card, STATUS_NAMES } from "./board.ts";
import { CardView } from "./card.tsx";
import type { Drag } from "./drag.ts";
import type { Other } from "./presence.ts";

interface Props {
  status: TaskStatus;
  board: Board;
  items: readonly Card[];
  drag: Drag;
  others: readonly Other[];
  open: string | null;
}

export function Column({ status, board, items, drag, others, open }: Props) {
  const project = useStore(board.project);
  const name = STATUS_NAMES[status];
  const count = items.filter((card) => card.status === status).length;
  const cards = shownIn(status, items, drag);
  // Tab stops once in a column, however long it is: at the card that had the focus last.
  const [last, setLast] = useState<string | null>(null);
  const stop = cards.find((card) => card?.id === last) ?? cards.find((card) => card !== null);
  return (
    <section className="column" data-status={status} aria-label={`${name}, ${count} tasks`}>
      <h2>
        <StatusIcon status={status} />
        {name} <span className="quiet">{count}</span>
      </h2>
      <ul>
        {cards.map((card) =>
          card === null ? (
            <li key="gap" className="gap" />
          ) : (
            <li key={card.id} hidden={drag.state?.byPointer && drag.state.card.id === card.id}>
              <CardView
                card={card}
                project={project.key}
                drag={drag}
                isStop={card === stop}
                focused={() => setLast(card.id)}
                isOpen={card.id === open}
                others={others.filter(({ task }) => task === card.id)}
              />
            </li>
          ),
        )}
      </ul>
      {project.viewerCanCreateTasks && status !== "CANCELLED" && (
        <NewTask name={name} create={(title) => board.create(title, status)} />
      )}
    </section>
  );
}

/** The column's cards; the one that is being moved, or a gap for it, is where it would go. */
function shownIn(status: TaskStatus, items: readonly Card[], { state }: Drag): (Card | null)[] {
  const cards: (Card | null)[] = items.filter((card) => card.status === status);
  if (!state) return cards;
  // The card below a finger stays in the page, unseen: the finger's events are sent to it.
  const others = state.byPointer ? cards : cards.filter((card) => card?.id !== state.card.id);
  if (state.over.status !== status) return others;
  const index = others.findIndex((card) => card?.id === state.over.before);
  const moved = state.byPointer ? null : { ...state.card, status };
  return others.toSpliced(index < 0 ? others.length : index, 0, moved);
}

function NewTask({ name, create }: { name: string; create: (title: string) => void }) {
  const [title, setTitle] = useState("");
  function submitted(event: FormEvent) {
    event.preventDefault();
    if (title.trim()) create(title.trim());
    setTitle("");
  }
  return (
    <form className="new" onSubmit={submitted}>
      <Icon name="plus" />
      <input
        value={title}
        maxLength={200}
        placeholder="New task"
        aria-label={`New task in ${name}`}
        onChange={(event) => setTitle(event.target.value)}
      />
    </form>
  );
}
