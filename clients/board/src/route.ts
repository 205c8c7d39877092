/** Where one is: `#/WREN` is a project, `#/WREN/WREN-12` one of its tasks. */

import { useSyncExternalStore } from "react";

export interface Route {
  project: string | null;
  task: string | null;
}

export function useRoute(): Route {
  const hash = useSyncExternalStore(listen, () => location.hash);
  const [, project, task] = hash.split("/").map(decodeURIComponent);
  return { project: project || null, task: task || null };
}

export function linkTo(project: string | null, task: string | null = null): string {
  const parts = [project, task].filter((part) => part !== null);
  return `#/${parts.map(encodeURIComponent).join("/")}`;
}

export function go(project: string | null, task: string | null = null): void {
  location.hash = linkTo(project, task);
}

function listen(listener: () => void): () => void {
  addEventListener("hashchange", listener);
  return () => removeEventListener("hashchange", listener);
}
