/** Search in all tasks, comments and projects, while one types. */

import { type KeyboardEvent, useEffect, useId, useRef, useState } from "react";
import { api } from "../api.ts";
import { SearchDocument, type SearchQuery } from "../generated/graphql.ts";
import { Icon } from "../parts/icons.tsx";
import { textOf } from "../parts/messages.tsx";
import { linkTo, linkToTask } from "../route.ts";

// After the last key.
const PAUSE_MS = 180;

type Subject = NonNullable<NonNullable<SearchQuery["search"]>["nodes"][number]["subject"]>;

interface Found {
  id: string;
  name: string;
  where: string | null;
  href: string;
}

export function Search() {
  const [text, setText] = useState("");
  const [hasFocus, setFocus] = useState(false);
  const [active, setActive] = useState(0);
  const { found, problem, close } = useFound(text);
  const input = useRef<HTMLInputElement>(null);
  const list = useId();
  const isOpen = hasFocus && text.trim() !== "" && (found !== null || problem !== null);

  useEffect(() => {
    const focus = (event: globalThis.KeyboardEvent) => {
      const typing = (event.target as HTMLElement).closest("input, textarea, select, dialog");
      if (event.key !== "/" || typing) return;
      event.preventDefault();
      input.current?.focus();
    };
    addEventListener("keydown", focus);
    return () => removeEventListener("keydown", focus);
  }, []);
  useEffect(() => setActive(0), [found]);

  function open(one: Found) {
    location.hash = one.href;
    setText("");
    close();
    input.current?.blur();
  }

  function pressed(event: KeyboardEvent) {
    const count = found?.length ?? 0;
    if (event.key === "Escape") setText("");
    else if (event.key === "ArrowDown") setActive((active + 1) % Math.max(1, count));
    else if (event.key === "ArrowUp") setActive((active + count - 1) % Math.max(1, count));
    else if (event.key === "Enter") {
      if (found?.[active]) open(found[active]);
    } else return;
    event.preventDefault();
  }

  return (
    <div className="search" role="search">
      <Icon name="search" />
      <input
        ref={input}
        type="search"
        placeholder="Search  /"
        aria-label="Search"
        role="combobox"
        aria-expanded={isOpen}
        aria-controls={list}
        aria-autocomplete="list"
        aria-activedescendant={isOpen && found?.[active] ? `${list}-${active}` : undefined}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onFocus={() => setFocus(true)}
        onBlur={() => setFocus(false)}
        onKeyDown={pressed}
      />
      <ul
        id={list}
        role="listbox"
        aria-label="Found"
        hidden={!isOpen}
        // A click leaves the focus where it is, or the list would close before it.
        onMouseDown={(event) => event.preventDefault()}
      >
        {(problem !== null || found?.length === 0) && (
          <li role="option" aria-selected="false" className="quiet">
            {problem ?? "Nothing found"}
          </li>
        )}
        {found?.map((one, index) => (
          <li
            key={one.id}
            id={`${list}-${index}`}
            role="option"
            aria-selected={index === active}
            onPointerEnter={() => setActive(index)}
            onClick={() => open(one)}
          >
            <span className="written">{one.name}</span>
            <span className="quiet">{one.where}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

interface Answer {
  /** Null until there is an answer. */
  found: Found[] | null;
  /** Why there is none. */
  problem: string | null;
}

const NONE: Answer = { found: null, problem: null };

/** What was found for a text. */
function useFound(text: string): Answer & { close: () => void } {
  const [answer, setAnswer] = useState(NONE);
  useEffect(() => {
    const query = text.trim();
    if (!query) return setAnswer(NONE);
    const stop = new AbortController();
    const timer = setTimeout(() => {
      api.request(SearchDocument, { query }, { signal: stop.signal, attempts: 1 }).then(
        ({ search }) => {
          const found = search!.nodes.flatMap(({ subject }) => foundOf(subject));
          setAnswer({ found, problem: null });
        },
        (error: unknown) =>
          stop.signal.aborted || setAnswer({ found: null, problem: textOf(error) }),
      );
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [text]);
  return { ...answer, close: () => setAnswer(NONE) };
}

function foundOf(subject: Subject | null): Found[] {
  if (subject?.__typename === "Project") {
    const { id, name, key } = subject;
    return [{ id, name, where: key, href: linkTo(key) }];
  }
  const task = subject?.__typename === "Comment" ? subject.task : subject;
  if (!task) return [];
  const name = subject?.__typename === "Comment" ? `“${subject.bodyText}”` : task.title;
  return [{ id: subject!.id, name, where: task.identifier, href: linkToTask(task) }];
}
