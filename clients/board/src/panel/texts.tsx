/** Title and description: texts that two people may write at the same time. */

import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import type { Text } from "../parts/conflict.tsx";
import { failed } from "../parts/messages.tsx";
import { refused } from "../parts/refused.tsx";
import type { Board, Card } from "../project/board.ts";
import { useShown } from "../store.ts";
import { type Draft, texts } from "./drafts.ts";

interface Props {
  board: Board;
  task: Card;
}

function useDraft(board: Board, task: Card, field: Text["field"]) {
  const name = `${task.id} ${field}`;
  const [draft, show] = useState(texts.get(name) ?? null);
  const shown = useShown();
  const text = task[field] ?? "";
  function setDraft(next: Draft | null) {
    if (next) texts.set(name, next);
    else texts.delete(name);
    show(next);
  }
  return {
    draft: draft?.text ?? null,
    edit: (next: string) =>
      setDraft({ text: next, base: draft?.base ?? { text, version: task.version } }),
    leave: () => setDraft(null),
    async save() {
      setDraft(null);
      if (!draft || draft.text === draft.base.text) return;
      try {
        await board.write(task, { field, mine: draft.text, base: draft.base });
      } catch (error) {
        // What was refused can be mended, unless something else is being written by now.
        if (!shown.current || texts.has(name)) return refused(draft.text, error);
        setDraft(draft);
        failed(error);
      }
    },
  };
}

export function Title({ board, task }: Props) {
  const { draft, edit, leave, save } = useDraft(board, task, "title");
  function pressed(event: KeyboardEvent<HTMLTextAreaElement>) {
    if (event.key === "Enter") event.currentTarget.blur();
    else if (event.key === "Escape" && draft !== null) leave();
    else return;
    event.preventDefault();
  }
  return (
    <textarea
      className="title-field"
      aria-label="Title"
      rows={1}
      maxLength={200}
      readOnly={!task.viewerCanEdit}
      value={draft ?? task.title}
      onChange={(event) => edit(event.target.value.replaceAll("\n", " "))}
      onKeyDown={pressed}
      onBlur={() => void save()}
    />
  );
}

export function Description({ board, task, html }: Props & { html: string | null }) {
  const { draft, edit, leave, save } = useDraft(board, task, "description");
  const button = useRef<HTMLButtonElement>(null);
  const isWriting = draft !== null;
  const wasWriting = useRef(false);
  // The field is gone then, and with it the focus.
  useEffect(() => {
    if (wasWriting.current && !isWriting) button.current?.focus();
    wasWriting.current = isWriting;
  }, [isWriting]);
  if (!isWriting)
    return (
      <section aria-label="Description" className="description">
        {/* The server has made it safe. */}
        {html && <div className="prose" dangerouslySetInnerHTML={{ __html: html }} />}
        {task.viewerCanEdit && (
          <button ref={button} type="button" onClick={() => edit(task.description ?? "")}>
            {task.description ? "Edit description" : "Add a description"}
          </button>
        )}
      </section>
    );
  return (
    <section aria-label="Description" className="description">
      <textarea
        autoFocus
        aria-label="Description, in Markdown"
        rows={10}
        value={draft}
        onChange={(event) => edit(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") event.preventDefault();
        }}
      />
      <p className="row">
        <button type="button" className="primary" onClick={() => void save()}>
          Save
        </button>
        <button type="button" onClick={leave}>
          Cancel
        </button>
      </p>
    </section>
  );
}
