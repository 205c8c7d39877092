/** Comments: shown at once, and sent when the server can be reached. */

import { type FormEvent, type KeyboardEvent, useRef, useState } from "react";
import { outbox } from "../outbox.ts";
import { failed } from "../parts/messages.tsx";
import { Person } from "../parts/person.tsx";
import { refused } from "../parts/refused.tsx";
import { Ago } from "../parts/times.tsx";
import { newId } from "../project/places.ts";
import { comments as drafts } from "./drafts.ts";
import { type Details, Part } from "./panel.tsx";

interface Props {
  task: Details;
  reload: () => void;
}

export function Comments({ task, reload }: Props) {
  const [sending, setSending] = useState<readonly { id: string; body: string }[]>([]);
  const field = useRef<HTMLTextAreaElement>(null);
  const comments = task.comments.nodes;
  const waiting = sending.filter(({ id }) => !comments.some((comment) => comment.id === id));

  function show(body: string) {
    field.current!.value = body;
    drafts.set(task.id, body);
  }

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
      if (!field.current || field.current.value) return refused(body, error);
      show(body);
      failed(error);
    }
  }

  function submitted(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const body = (field.current?.value ?? "").trim();
    show("");
    if (body) void send(body);
  }

  function pressed(event: KeyboardEvent) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey))
      field.current?.form?.requestSubmit();
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
              <p className="written">{body}</p>
            </div>
          </li>
        ))}
      </ul>
      {task.viewerCanComment && (
        <form onSubmit={submitted} className="write">
          <textarea
            ref={field}
            rows={2}
            defaultValue={drafts.get(task.id)}
            onChange={(event) => drafts.set(task.id, event.target.value)}
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
