/** Where links in mails about an account lead; nobody needs to be signed in. */

import { type FormEvent, useEffect, useState } from "react";
import { api } from "./api.ts";
import { RequestResetDocument, ResetPasswordDocument } from "./generated/graphql.ts";
import { textOf } from "./parts/messages.tsx";
import { type Link, linkTo } from "./route.ts";

/** What is said at the end, by page and by whether it went well. */
const SAID: Record<string, [good: string, bad: string]> = {
  "email-verified": [
    "Your email address is confirmed.",
    "This link does not work, or no longer. You can ask for a new mail.",
  ],
  "email-change-undone": [
    "Your previous email address is restored, and all sessions have ended. A mail to choose a new password is on its way.",
    "This link does not work, or no longer.",
  ],
};

/** The page of a link, or null if it is no link about an account. */
export function accountPage({ page, query }: Link) {
  if (page === "reset-password") return <ResetPassword token={query.get("token") ?? ""} />;
  const said = SAID[page];
  if (!said) return null;
  return <Said title="Taskloom" text={query.get("status") === "success" ? said[0] : said[1]} />;
}

/** Asks for the mail whose link leads to `ResetPassword`. */
export function ForgottenPassword({ close }: { close: () => void }) {
  const { values, busy, problem, done, send } = useSent((form) =>
    api.request(RequestResetDocument, { input: { email: String(form.get("email")) } }),
  );
  if (done)
    return (
      <p role="status">
        If there is an account with {String(values?.get("email"))}, a mail is on its way. Its link
        works for an hour.
      </p>
    );
  return (
    <form onSubmit={send}>
      <label>
        Email address
        <input name="email" type="email" autoComplete="email" required />
      </label>
      <p role="alert">{problem}</p>
      <button type="submit" className="primary" disabled={busy}>
        Send me a link
      </button>
      <button type="button" onClick={close}>
        Back
      </button>
    </form>
  );
}

function ResetPassword({ token }: { token: string }) {
  const { busy, problem, done, send } = useSent((form) => {
    const newPassword = String(form.get("password"));
    return api.request(ResetPasswordDocument, { input: { token, newPassword } });
  });
  useEffect(() => {
    document.title = "Choose a password · Taskloom";
  }, []);
  if (done) return <Said title="Taskloom" text="Your password is set. Sign in with it." />;
  return (
    <main className="sign-in">
      <h1>Choose a password</h1>
      <form onSubmit={send}>
        <label>
          New password
          <input
            name="password"
            type="password"
            autoComplete="new-password"
            minLength={8}
            maxLength={100}
            required
          />
        </label>
        <p role="alert">{problem}</p>
        <button type="submit" className="primary" disabled={busy}>
          Set the password
        </button>
      </form>
    </main>
  );
}

function Said({ title, text }: { title: string; text: string }) {
  return (
    <main className="sign-in">
      <h1>{title}</h1>
      <p role="status">{text}</p>
      <p>
        <a href={linkTo(null)}>To the board</a>
      </p>
    </main>
  );
}

/** A form that is sent once. */
function useSent(request: (form: FormData) => Promise<unknown>) {
  const [values, setValues] = useState<FormData | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [state, setState] = useState<"open" | "busy" | "done">("open");

  async function send(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setValues(form);
    setProblem(null);
    setState("busy");
    try {
      await request(form);
      setState("done");
    } catch (error) {
      setProblem(textOf(error));
      setState("open");
    }
  }

  return { values, problem, busy: state === "busy", done: state === "done", send };
}
