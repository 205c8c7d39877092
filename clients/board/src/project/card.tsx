/** A card: a button that opens its task, and can be dragged or moved with the keyboard. */

import { Icon, PriorityIcon } from "../parts/icons.tsx";
import { Person } from "../parts/person.tsx";
import { dayOf } from "../parts/times.tsx";
import { go } from "../route.ts";
import { type Card, PRIORITY_NAMES } from "./board.ts";
import type { Drag } from "./drag.ts";
import type { Other } from "./presence.ts";

interface Props {
  card: Card;
  project: string;
  drag: Drag;
  isOpen: boolean;
  /** Whether the Tab key stops here. */
  isStop: boolean;
  focused: () => void;
  others: readonly Other[];
}

export function CardView({ card, project, drag, isOpen, isStop, focused, others }: Props) {
  const isLifted = drag.state?.card.id === card.id;
  return (
    <button
      type="button"
      className={`card ${isLifted ? "lifted" : ""} ${isOpen ? "open" : ""}`}
      data-card={card.id}
      tabIndex={isStop ? 0 : -1}
      aria-current={isOpen || undefined}
      aria-describedby={card.viewerCanEdit ? "how-to-move" : "how-to-go"}
      onClick={() => card.identifier && !drag.wasDragged() && go(project, card.identifier)}
      onPointerDown={(event) => drag.pressed(event, card)}
      onKeyDown={(event) => drag.key(event, card)}
      onFocus={focused}
      onBlur={drag.blurred}
    >
      <Face card={card} others={others} />
    </button>
  );
}

/** What a card shows; also below the pointer while it is dragged. */
export function Face({ card, others = [] }: { card: Card; others?: readonly Other[] }) {
  const due = card.dueOn ?? card.dueAt;
  return (
    <>
      <span className="line quiet">
        <PriorityIcon priority={card.priority} />
        <span>{card.identifier ?? "Saving …"}</span>
        {card.priority !== "NONE" && (
          <span className="unseen">{PRIORITY_NAMES[card.priority]} priority</span>
        )}
        <span className="people">
          {others.map(({ user }) => (
            <Person key={user.id} person={user} label={`${user.displayName} is looking at it`} />
          ))}
          {card.assignee && (
            <Person person={card.assignee} label={`Assigned to ${card.assignee.displayName}`} />
          )}
        </span>
      </span>
      <span className="name written">{card.title}</span>
      <span className="line quiet">
        {due && (
          <span className={card.isOverdue ? "overdue" : ""}>
            <span className="unseen">{card.isOverdue ? "Overdue since" : "Due"}</span> {dayOf(due)}
          </span>
        )}
        {card.tags.slice(0, 3).map((tag) => (
          <span key={tag} className="tag written">
            {tag}
          </span>
        ))}
        <Count icon="comment" count={card.commentCount} what="comments" />
        <Count icon="file" count={card.attachmentCount} what="files" />
      </span>
    </>
  );
}

function Count({ icon, count, what }: { icon: "comment" | "file"; count: number; what: string }) {
  if (count === 0) return null;
  return (
    <span className="count">
      <Icon name={icon} />
      {count} <span className="unseen">{what}</span>
    </span>
  );
}
