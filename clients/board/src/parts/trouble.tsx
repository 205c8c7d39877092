/** In place of what could not be loaded: why, and what one can do. */

import { NotFoundError } from "@taskloom/client";
import { linkTo } from "../route.ts";
import { useTitle } from "../store.ts";
import { textOf } from "./messages.tsx";

interface Props {
  error: unknown;
  retry: () => void;
  /** Inside of a page, the level that its headings have got to. */
  heading?: "h1" | "h2" | "h3";
}

export function Trouble({ error, retry, heading: Heading = "h1" }: Props) {
  const isPage = Heading === "h1";
  const Element = isPage ? "main" : "div";
  const title = error instanceof NotFoundError ? "Not found" : "This could not be loaded";
  useTitle(isPage ? title : null);
  return (
    <Element className="trouble">
      <div role="alert">
        <Heading>{title}</Heading>
        <p>{textOf(error)}</p>
      </div>
      <p className="row">
        <button type="button" className="primary" onClick={retry}>
          Try again
        </button>
        <a href={linkTo(null)}>All projects</a>
      </p>
    </Element>
  );
}
