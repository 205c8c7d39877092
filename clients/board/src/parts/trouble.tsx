/** In place of what could not be loaded: why, and what one can do. */

import { NotFoundError } from "@taskloom/client";
import { linkTo } from "../route.ts";
import { textOf } from "./messages.tsx";

export function Trouble({ error, retry }: { error: unknown; retry: () => void }) {
  return (
    <main className="trouble" role="alert">
      <h1>{error instanceof NotFoundError ? "Not found" : "This could not be loaded"}</h1>
      <p>{textOf(error)}</p>
      <p className="row">
        <button type="button" className="primary" onClick={retry}>
          Try again
        </button>
        <a href={linkTo(null)}>All projects</a>
      </p>
    </main>
  );
}
