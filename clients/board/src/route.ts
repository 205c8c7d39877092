/**
 * Where one is: `#/WREN` is a project, `#/WREN/WREN-12` one of its tasks. `#/tasks/…` and the others
 * in `LINKS` are what links in mails lead to: docs/web-application.md.
 */

import { useSyncExternalStore } from "react";

// Keys of projects are upper case.
const LINKS = ["tasks", "projects", "reset-password", "email-verified", "email-change-undone"];

export interface Route {
  project: string | null;
  task: string | null;
  link: Link | null;
}

/** A page of `LINKS`, the ID behind it, and its parameters. */
export interface Link {
  page: string;
  id: string;
  query: URLSearchParams;
}

export function useRoute(): Route {
  const hash = useSyncExternalStore(listen, () => location.hash);
  const [path, query] = hash.split("?", 2);
  const [, first, second] = path!.split("/").map(decoded);
  if (first && LINKS.includes(first)) {
    const link = { page: first, id: second ?? "", query: new URLSearchParams(query) };
    return { project: null, task: null, link };
  }
  return { project: first || null, task: second || null, link: null };
}

export function linkTo(project: string | null, task: string | null = null): string {
  const parts = [project, task].filter((part) => part !== null);
  return `#/${parts.map(encodeURIComponent).join("/")}`;
}

/** Where a task is shown: on its board, or by itself if it is in no project that one sees. */
export function linkToTask(task: {
  id: string;
  identifier: string | null;
  project: { key: string } | null;
}): string {
  const { id, identifier, project } = task;
  return project && identifier ? linkTo(project.key, identifier) : linkTo("tasks", id);
}

export function go(project: string | null, task: string | null = null): void {
  location.hash = linkTo(project, task);
}

/** Go on from a link: the way back does not lead to it. */
export function goOn(project: string | null, task: string | null = null): void {
  location.replace(linkTo(project, task));
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // Somebody has typed it.
    return part;
  }
}

function listen(listener: () => void): () => void {
  addEventListener("hashchange", listener);
  return () => removeEventListener("hashchange", listener);
}
