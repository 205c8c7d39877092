/** What is shown: signing in, the projects, or the board of one. */

import { useEffect } from "react";
import { accountPage } from "./account.tsx";
import { api, useSignedIn } from "./api.ts";
import { BootDocument, type BootQuery } from "./generated/graphql.ts";
import { Header } from "./header/header.tsx";
import { LinkedProject, LinkedTask } from "./links.tsx";
import { outbox } from "./outbox.ts";
import { writes } from "./panel/drafts.ts";
import { ConflictDialog } from "./parts/conflict.tsx";
import { Messages } from "./parts/messages.tsx";
import { RefusedDialog } from "./parts/refused.tsx";
import { Trouble } from "./parts/trouble.tsx";
import { BoardPage } from "./project/page.tsx";
import { Projects } from "./projects.tsx";
import { useRoute } from "./route.ts";
import { SignIn } from "./sign-in.tsx";
import { useLoaded } from "./store.ts";

export type Viewer = NonNullable<BootQuery["viewer"]>;

export function App() {
  const { signedIn, number } = useSignedIn();
  const { link } = useRoute();
  const page = link && accountPage(link);
  return (
    <>
      {page}
      {!page && signedIn === false && <SignIn />}
      {!page && signedIn && <SignedIn key={number} />}
      <Messages />
      <ConflictDialog />
      <RefusedDialog />
    </>
  );
}

function SignedIn() {
  const { project, task, link } = useRoute();
  const { data, error, reload } = useLoaded("boot", () => api.request(BootDocument));
  const viewer = data?.viewer ?? null;
  const id = viewer?.user.id;
  useEffect(() => {
    if (!id) return;
    writes(id);
    outbox.open(id);
    return () => outbox.close();
  }, [id]);
  if (error) return <Trouble error={error} retry={reload} />;
  if (!data || !viewer) return <p className="loading">Loading …</p>;
  return (
    <>
      <Header viewer={viewer} cursor={data.eventCursor} project={project} />
      {link?.page === "tasks" && <LinkedTask id={link.id} />}
      {link?.page === "projects" && <LinkedProject id={link.id} />}
      {!link && project === null && <Projects />}
      {project !== null && (
        <BoardPage key={project} projectKey={project} task={task} viewer={viewer} />
      )}
    </>
  );
}
