/** Where links in mails about an account lead; nobody needs to be signed in. */

import { type FormEvent, type ReactNode, useState } from "react";
import { api, useSignedIn } from "./api.ts";
import {
  RequestResetDocument,
  RequestVerificationDocument,
  ResetPasswordDocument,
} from "./generated/graphql.ts";
import { textOf } from "./parts/messages.tsx";
import { type Link, linkTo } from "./route.ts";
import { useTitle } from "./store.ts";

/** What is said at the end, by page and by whether it went well. */
const SAID: Record<string, [good: string, bad: string]> = {
  "email-verified": [
    "Your email address is confirmed.",
    "This link does not work: it was used, has expired, or was replaced by a newer one.",
  ],
  "email-change-undone": [
    "Your previous email address is restored, and all sessions have ended. A mail to choose a new password is on its way.",
    "This link does not work: it was used, or has expired.",
  ],
};

/** The page of a link, or null if it is no link about an account. */
export function accountPage({ page, query }: Link) {
  if (page === "reset-password") {
    const token = query.get("token");
    return token ? <ResetPassword token={token} /> : <ForgottenPassword />;
  }
  const said = SAID[page];
  if (!said) return null;
  if (query.get("status") === "success") return <Said text={said[0]} />;
  if (query.get("code") === "RATE_LIMITED")
    return <Said text="There were too many attempts. Wait a minute, and open the link again." />;
  return <Said text={said[1]}>{page === "email-verified" && <NewMail />}</Said>;
}

/** Asks for another mail to confirm the address of the user who is signed in. */
function NewMail() {
  const { signedIn } = useSignedIn();
  const { busy, problem, done, send } = useSent(() =>
    api.request(RequestVerificationDocument, { input: {} }),
  );
  if (signedIn === null) return null;
  if (!signedIn) return <p>Sign in, and open it again to ask for a new mail.</p>;
  if (done) return <p role="status">A new mail is on its way.</p>;
  return (
    <form onSubmit={send}>
      <p role="alert">{problem}</p>
      <button type="submit" className="primary" disabled={busy}>
        Send me a new mail
      </button>
    </form>
  );
}

/** Asks for the mail whose link leads to `ResetPassword`. */
function ForgottenPassword() {
  useTitle("Forgotten password");
  const { values, busy, problem, done, send } = useSent((form) =>
    api.request(RequestResetDocument, { input: { email: String(form.get("email")) } }),
  );
  const text = `If there is an account with ${String(values?.get("email"))}, a mail is on its way. \
Its link works for an hour.`;
  if (done) return <Said text={text} />;
  return (
    <main className="sign-in">
      <h1>Forgotten password</h1>
      <form onSubmit={send}>
        <label>
          Email address
          <input name="email" type="email" autoComplete="email" required autoFocus />
        </label>
        <p role="alert">{problem}</p>
        <button type="submit" className="primary" disabled={busy}>
          Send me a link
        </button>
      </form>
      <p>
        <a href={linkTo(null)}>To the board</a>
      </p>
    </main>
  );
}

function ResetPassword({ token }: { token: string }) {
  const { busy, problem, done, send } = useSent((form) => {
    const newPassword = String(form.get("password"));
    return api.request(ResetPasswordDocument, { input: { token, newPassword } });
  });
  useTitle("Choose a password");
  if (done) return <Said text="Your password is set. Sign in with it." />;
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
        {problem && <a href={linkTo("reset-password")}>Ask for a new link</a>}
      </form>
    </main>
  );
}

function Said({ text, children }: { text: string; children?: ReactNode }) {
  useTitle("Your account");
  return (
    <main className="sign-in">
      <h1>Taskloom</h1>
      <p role="status">{text}</p>
      {children}
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
