/** Notifications: how many are new, and a list of the latest. */

import { useEffect, useRef, useState } from "react";
import { api, connected } from "../api.ts";
import {
  InboxDocument,
  MarkAllReadDocument,
  MarkReadDocument,
  type NoticeFragment,
  NotifiedDocument,
} from "../generated/graphql.ts";
import { Icon } from "../parts/icons.tsx";
import { failed, say } from "../parts/messages.tsx";
import { Ago } from "../parts/times.tsx";
import { linkToTask } from "../route.ts";
import { useLoaded } from "../store.ts";
import { textOf } from "./notices.ts";
import { followed } from "./own.ts";

export function Inbox({ unread, cursor }: { unread: number; cursor: string | null }) {
  const [count, setCount] = useState(unread);
  const [isOpen, setOpen] = useState(false);
  const shown = count > 99 ? "99+" : count;
  const box = useRef<HTMLDivElement>(null);

  useEffect(() => {
    const stop = new AbortController();
    void follow(cursor, stop.signal, setCount);
    return () => stop.abort();
  }, [cursor]);
  useEffect(() => {
    if (!isOpen) return;
    const leave = (event: Event) => {
      const isInside = box.current?.contains(event.target as Node);
      const isEscape = event instanceof KeyboardEvent && event.key === "Escape";
      if (isEscape && isInside) box.current?.querySelector("button")?.focus();
      if (isEscape || (event.type === "pointerdown" && !isInside)) setOpen(false);
    };
    addEventListener("pointerdown", leave);
    addEventListener("keydown", leave);
    return () => {
      removeEventListener("pointerdown", leave);
      removeEventListener("keydown", leave);
    };
  }, [isOpen]);

  return (
    <div className="inbox" ref={box}>
      <button
        type="button"
        className="bare"
        aria-expanded={isOpen}
        aria-label={count === 0 ? "Notifications" : `Notifications, ${shown} new`}
        onClick={() => setOpen(!isOpen)}
      >
        <Icon name="bell" />
        {count > 0 && <span className="badge">{shown}</span>}
      </button>
      {isOpen && <Latest count={count} setCount={setCount} close={() => setOpen(false)} />}
    </div>
  );
}

interface LatestProps {
  count: number;
  setCount: (count: number) => void;
  close: () => void;
}

function Latest({ count, setCount, close }: LatestProps) {
  const load = () => api.request(InboxDocument, {}, { attempts: 2 });
  const { data, error } = useLoaded(`inbox ${count}`, load);
  const notices = data?.viewer?.notifications.nodes ?? [];

  async function read(ids: string[] | null) {
    try {
      // Not all are listed, so the server counts them.
      const { unreadCount } = ids
        ? (await api.request(MarkReadDocument, { input: { ids } })).notificationMarkRead
        : (await api.request(MarkAllReadDocument, { input: {} })).notificationMarkAllRead;
      setCount(unreadCount ?? 0);
    } catch (error) {
      failed(error);
    }
  }

  function open({ id, isRead, task }: NoticeFragment) {
    if (!isRead) void read([id]);
    if (task) location.hash = linkToTask(task);
    close();
  }

  return (
    <section className="popover" aria-label="Notifications">
      <header>
        <h2>Notifications</h2>
        <button type="button" disabled={count === 0} onClick={() => void read(null)}>
          Mark all as read
        </button>
      </header>
      {!data && <p>{error ? "They could not be loaded." : "Loading …"}</p>}
      {data && notices.length === 0 && <p className="quiet">Nothing new.</p>}
      <ul>
        {notices.map((notice) => (
          <li key={notice.id} className={notice.isRead ? "" : "unread"}>
            <button type="button" onClick={() => open(notice)}>
              <span>
                {!notice.isRead && <span className="unseen">New: </span>}
                {textOf(notice)}
              </span>
              <span className="quiet">
                {notice.task?.identifier} <Ago at={notice.createdAt} />
              </span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

async function follow(
  cursor: string | null,
  signal: AbortSignal,
  show: (count: number) => void,
): Promise<void> {
  // This stream is always open, so it tells for all.
  const onStatus = (status: string) => connected.set(status === "connected");
  const listen = async (after: string | null) => {
    for await (const event of api.live(NotifiedDocument, { after }, { signal, onStatus })) {
      show(event.unreadCount);
      if (event.notification) say(textOf(event.notification));
    }
  };
  await followed(cursor, signal, listen, (viewer) => show(viewer.unreadNotificationCount));
  // Nothing tells from here on.
  connected.set(true);
}
