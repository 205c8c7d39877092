/** Who else is looking at a project: says where one is, and follows where the others are. */

import { useEffect, useState } from "react";
import { api } from "../api.ts";
import {
  LookAtDocument,
  LookAwayDocument,
  PresenceDocument,
  type PersonFragment,
} from "../generated/graphql.ts";

// A sign counts for 30 seconds.
const REPEAT_MS = 12_000;

export interface Other {
  user: PersonFragment;
  task: string | null;
}

/** The others, while one looks at a project, or at one of its tasks, oneself. */
export function usePresence(project: string, task: string | null, me: string): readonly Other[] {
  const [others, setOthers] = useState<readonly Other[]>([]);
  useEffect(() => {
    const stop = new AbortController();
    void follow(project, stop.signal, (people) =>
      setOthers(people.filter(({ user }) => user.id !== me)),
    );
    return () => {
      stop.abort();
      setOthers([]);
      const input = { projectId: project };
      void api.execute(LookAwayDocument, { input }, { attempts: 1 });
    };
  }, [project, me]);
  useEffect(() => {
    const say = () => {
      if (document.visibilityState === "hidden") return;
      const input = { projectId: project, taskId: task };
      void api.execute(LookAtDocument, { input }, { attempts: 1 });
    };
    say();
    const timer = setInterval(say, REPEAT_MS);
    document.addEventListener("visibilitychange", say);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", say);
    };
  }, [project, task]);
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
