/** The bar at the top: where one is, search, timer, notifications, and whether all is saved. */

import { api, connected } from "../api.ts";
import type { Viewer } from "../app.tsx";
import { outbox } from "../outbox.ts";
import { Icon } from "../parts/icons.tsx";
import { Person } from "../parts/person.tsx";
import { linkTo } from "../route.ts";
import { useStore } from "../store.ts";
import { Inbox } from "./inbox.tsx";
import { Search } from "./search.tsx";
import { Timer } from "./timer.tsx";

interface Props {
  viewer: Viewer;
  cursor: string | null;
  project: string | null;
}

export function Header({ viewer, cursor, project }: Props) {
  return (
    <header className="top">
      <nav aria-label="Where you are">
        <a href={linkTo(null)}>Projects</a>
        {project && <span className="quiet">/ {project}</span>}
      </nav>
      <Search />
      <Saved />
      <Timer running={viewer.runningTimer} cursor={cursor} />
      <Inbox unread={viewer.unreadNotificationCount} cursor={cursor} />
      <Person person={viewer.user} label={`You are ${viewer.user.displayName}`} />
      <button type="button" className="bare" aria-label="Sign out" onClick={() => void signOut()}>
        <Icon name="exit" />
      </button>
    </header>
  );
}

async function signOut(): Promise<void> {
  const waiting = outbox.waiting();
  const question = `${waiting} of your changes have not been sent. They are sent when you sign in \
here again.`;
  if (waiting === 0 || confirm(question)) await api.signOut();
}

/** Says so when changes wait, or when the live connection is lost; nothing otherwise. */
function Saved() {
  const { count, reachable } = useStore(outbox.state);
  const live = useStore(connected);
  let text = "";
  if (!reachable || !live) text = "Offline";
  if (!reachable && live) text = "Connecting …";
  if (count > 0 && text) text += ` · ${count === 1 ? "1 change waits" : `${count} changes wait`}`;
  return (
    <span className="saved" role="status" hidden={!text}>
      {text}
    </span>
  );
}
