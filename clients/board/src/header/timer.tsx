/** The running timer: the same on every device, started at a task and stopped here. */

import { useEffect } from "react";
import { api } from "../api.ts";
import type { Viewer } from "../app.tsx";
import {
  StartTimerDocument,
  StopTimerDocument,
  TimerChangesDocument,
  type TimerFragment,
} from "../generated/graphql.ts";
import { Icon } from "../parts/icons.tsx";
import { failed } from "../parts/messages.tsx";
import { Running } from "../parts/times.tsx";
import { linkTo } from "../route.ts";
import { Store, useStore } from "../store.ts";
import { followed } from "./own.ts";

// Nobody waits a minute for a button.
const ATTEMPTS = { attempts: 2 };

export const timer = new Store<TimerFragment | null>(null);

export async function startTimer(taskId: string): Promise<void> {
  try {
    const { timerStart } = await api.request(StartTimerDocument, { input: { taskId } }, ATTEMPTS);
    timer.set(timerStart.timeEntry);
  } catch (error) {
    failed(error);
  }
}

export async function stopTimer(): Promise<void> {
  try {
    await api.request(StopTimerDocument, { input: {} }, ATTEMPTS);
    timer.set(null);
  } catch (error) {
    failed(error);
  }
}

interface Props {
  running: TimerFragment | null;
  cursor: string | null;
}

export function Timer({ running, cursor }: Props) {
  useEffect(() => {
    timer.set(running);
    const stop = new AbortController();
    void follow(cursor, stop.signal);
    return () => stop.abort();
  }, [running, cursor]);
  const entry = useStore(timer);
  if (!entry) return null;
  const { task } = entry;
  return (
    <div className="timer" role="group" aria-label="Running timer">
      {task ? (
        // By its ID: it may move to another project meanwhile.
        <a href={linkTo("tasks", task.id)} title={task.title}>
          {task.identifier ?? task.title}
        </a>
      ) : (
        <span>Timer</span>
      )}
      <Running since={entry.startedAt} />
      <button type="button" className="bare" aria-label="Stop timer" onClick={() => void stopTimer()}>
        <Icon name="stop" />
      </button>
    </div>
  );
}

async function follow(cursor: string | null, signal: AbortSignal): Promise<void> {
  const show = ({ runningTimer }: Pick<Viewer, "runningTimer">) => timer.set(runningTimer);
  const listen = async (after: string | null) => {
    for await (const event of api.live(TimerChangesDocument, { after }, { signal })) show(event);
  };
  await followed(cursor, signal, listen, show);
}
