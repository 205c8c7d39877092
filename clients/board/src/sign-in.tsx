/** Signing in with a password; a development server also offers its demo user. */

import { type FormEvent, useEffect, useState } from "react";
import { SERVER, api } from "./api.ts";
import { textOf } from "./parts/messages.tsx";
import { linkTo } from "./route.ts";
import { useTitle } from "./store.ts";

interface Demo {
  login: string;
  password: string;
}

export function SignIn() {
  const [demo, setDemo] = useState<Demo | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  useTitle("Sign in");
  useEffect(() => {
    fetch(`${SERVER}/explorer/config.json`)
      .then((response) => response.json())
      .then(({ demo }: { demo: Demo | null }) => setDemo(demo))
      .catch(() => setDemo(null));
  }, []);

  async function signIn(login: string, password: string) {
    setBusy(true);
    setProblem(null);
    try {
      await api.signIn(login, password, "Board");
    } catch (error) {
      setProblem(textOf(error));
      setBusy(false);
    }
  }

  function submitted(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    void signIn(String(form.get("login")), String(form.get("password")));
  }

  return (
    <main className="sign-in">
      <h1>Taskloom</h1>
      <form onSubmit={submitted}>
        <label>
          Username or email address
          <input name="login" autoComplete="username" autoCapitalize="none" required />
        </label>
        <label>
          Password
          <input name="password" type="password" autoComplete="current-password" required />
        </label>
        <p role="alert">{problem}</p>
        <button type="submit" className="primary" disabled={busy}>
          Sign in
        </button>
        <a href={linkTo("reset-password")}>Forgotten your password?</a>
        {demo && (
          <button
            type="button"
            disabled={busy}
            onClick={() => void signIn(demo.login, demo.password)}
          >
            Sign in as the demo user
          </button>
        )}
      </form>
    </main>
  );
}
