/** All projects that one can see. */

import { useEffect } from "react";
import { api } from "./api.ts";
import { ProjectsDocument } from "./generated/graphql.ts";
import { Trouble } from "./parts/trouble.tsx";
import { linkTo } from "./route.ts";
import { useLoaded } from "./store.ts";

export function Projects() {
  const { data, error, reload } = useLoaded("projects", () => api.request(ProjectsDocument));
  useEffect(() => {
    document.title = "Projects · Taskloom";
  }, []);
  if (error) return <Trouble error={error} retry={reload} />;
  if (!data) return <p className="loading">Loading …</p>;
  const projects = data.projects!.nodes;
  return (
    <main className="projects">
      <h1>Projects</h1>
      {projects.length === 0 && <p>You are not a member of any project yet.</p>}
      <ul>
        {projects.map(({ id, key, name, color, stats }) => (
          <li key={id}>
            <a href={linkTo(key)}>
              <span className="swatch" style={{ background: color ?? "var(--faint)" }} />
              <strong>{name}</strong>
              <span className="quiet">{key}</span>
              <meter
                aria-label={`${stats!.completed} of ${stats!.total} tasks are done`}
                value={stats!.completed}
                max={Math.max(1, stats!.total)}
              />
              <span className="quiet count">{stats!.open} open</span>
            </a>
          </li>
        ))}
      </ul>
    </main>
  );
}
