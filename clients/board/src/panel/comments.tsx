/** Comments: shown at once, and sent when the server can be reached. */

import { type FormEvent, type KeyboardEvent, useRef, useState } from "react";
import { outbox } from "../outbox.ts";
import { Person } from "../parts/person.tsx";
import { Ago } from "../parts/times.tsx";
import { newId } from "../project/places.ts";
import { type Details, Part } from "./panel.tsx";

interface Props {
  task: Details;
  reload: () => void;
  failed: (error: unknown) => void;
}

export function Comments({ task, reload, failed }: Props) {
  const [sending, setSending] = useState<readonly { id: string; body: string }[]>([]);
  const form = useRef<HTMLFormElement>(null);
  const comments = task.comments.nodes;
  const waiting = sending.filter(({ id }) => !comments.some((comment) => comment.id === id));

  async function send(body: string) {
    const id = newId("comment");
    setSending((all) => [...all, { id, body }]);
    const input = { id, taskId: task.id, body };
    try {
      await outbox.send({ kind: "comment", task: task.id, input, values: {} });
      reload();
    } catch (error) {
      setSending((all) => all.filter((one) => one.id !== id));
      // What was refused can be mended, unless something else is being written by now.
      const field = form.current?.elements.namedItem("body") as HTMLTextAreaElement | null;
      if (field && !field.value) field.value = body;
      failed(error);
    }
  }

  function submitted(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const body = String(new FormData(event.currentTarget).get("body")).trim();
    event.currentTarget.reset();
    if (body) void send(body);
  }

  function pressed(event: KeyboardEvent) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.current?.requestSubmit();
  }

  return (
    <Part title="Comments">
      {task.comments.pageInfo.hasPreviousPage && (
        <p className="quiet">Earlier comments are not shown here.</p>
      )}
      <ul className="comments">
        {comments.map(({ id, author, bodyHtml, createdAt }) => (
          <li key={id}>
            {author && <Person person={author} />}
            <div>
              <p className="quiet">
                <strong>{author?.displayName ?? "Somebody who left"}</strong> <Ago at={createdAt} />
              </p>
              {/* The server has made it safe. */}
              <div className="prose" dangerouslySetInnerHTML={{ __html: bodyHtml }} />
            </div>
          </li>
        ))}
        {waiting.map(({ id, body }) => (
          <li key={id} className="waiting">
            <div>
              <p className="quiet">Sending …</p>
              <p>{body}</p>
            </div>
          </li>
        ))}
      </ul>
      {task.viewerCanComment && (
        <form ref={form} onSubmit={submitted} className="write">
          <textarea
            name="body"
            rows={2}
            aria-label="Write a comment"
            placeholder="Write a comment; @name mentions somebody"
            onKeyDown={pressed}
          />
          <button type="submit">Comment</button>
        </form>
      )}
    </Part>
  );
}
