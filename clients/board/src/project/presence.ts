/** Who else is looking at a project: says where one is, and follows where the others are. */

import { useEffect, useRef, useState } from "react";
import { api } from "../api.ts";
import {
  LookAtDocument,
  LookAwayDocument,
  PresenceDocument,
  type PersonFragment,
} from "../generated/graphql.ts";

// A sign counts for 30 seconds.
const REPEAT_MS = 12_000;
// So soon another window takes over from one that has left.
const TURN_MS = 500;
// The windows of a browser share a session, which is in one place: that of the window used last.
const windows = new BroadcastChannel("taskloom-board:presence");

export interface Other {
  user: PersonFragment;
  task: string | null;
}

/** The others, while one looks at a project, or at one of its tasks, oneself. */
export function usePresence(project: string, task: string | null, me: string): readonly Other[] {
  const [others, setOthers] = useState<readonly Other[]>([]);
  const current = useRef<Sign | null>(null);
  useEffect(() => {
    const stop = new AbortController();
    void follow(project, stop.signal, (people) =>
      setOthers(people.filter(({ user }) => user.id !== me)),
    );
    return () => {
      stop.abort();
      setOthers([]);
    };
  }, [project, me]);
  useEffect(() => {
    const sign = new Sign(project);
    current.current = sign;
    return () => sign.end();
  }, [project]);
  useEffect(() => current.current?.move(task), [project, task]);
  return others;
}

async function follow(
  project: string,
  signal: AbortSignal,
  show: (people: Other[]) => void,
): Promise<void> {
  try {
    for await (const { people } of api.live(PresenceDocument, { project }, { signal }))
      show(people.flatMap(({ user, task }) => (user ? [{ user, task: task?.id ?? null }] : [])));
  } catch {
    // A user who has lost access to the project learns that from the list of tasks.
    show([]);
  }
}

/** Says where this window is in a project, as long as no other window says so. */
class Sign {
  readonly #stop = new AbortController();
  readonly #timer = setInterval(() => this.#isOurs && this.#say(), REPEAT_MS);
  #task: string | null = null;
  #isOurs = false;
  #turn: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly project: string) {
    const { signal } = this.#stop;
    addEventListener("focus", () => this.#take(), { signal });
    addEventListener("pagehide", () => this.#pass(), { signal });
    const seen = () => (document.visibilityState === "hidden" ? this.#pass() : this.#take());
    document.addEventListener("visibilitychange", seen, { signal });
    windows.addEventListener("message", ({ data }) => this.#hear(data), { signal });
  }

  move(task: string | null): void {
    this.#task = task;
    this.#take();
  }

  end(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#turn);
    this.#stop.abort();
    if (!this.#isOurs) return;
    const input = { projectId: this.project };
    void api.execute(LookAwayDocument, { input }, { attempts: 1 }).then(() => this.#pass());
  }

  #take(): void {
    if (document.visibilityState === "hidden") return;
    this.#isOurs = true;
    windows.postMessage({ project: this.project, isTaken: true });
    this.#say();
  }

  /** Another window may be looking at the same project. */
  #pass(): void {
    if (!this.#isOurs) return;
    this.#isOurs = false;
    windows.postMessage({ project: this.project, isTaken: false });
  }

  #hear({ project, isTaken }: { project: string; isTaken: boolean }): void {
    if (project !== this.project) return;
    clearTimeout(this.#turn);
    if (isTaken) this.#isOurs = false;
    // One of several.
    else this.#turn = setTimeout(() => this.#take(), Math.random() * TURN_MS);
  }

  #say(): void {
    const input = { projectId: this.project, taskId: this.#task };
    void api.execute(LookAtDocument, { input }, { attempts: 1 });
  }
}
