import { useState, type FormEvent } from "react";
import type { ExplorerConfig } from "./config";
import icon from "./icon.svg";
import type { Session, SessionView } from "./session";

interface Props {
  config: ExplorerConfig;
  session: Session;
  view: SessionView;
}

/** The strip above GraphiQL: what this server is, and who is signed in or the form to do so. */
export function AccountBar({ config, session, view }: Props) {
  return (
    <header className="bar">
      <div className="bar-server">
        <img src={icon} alt="" width="24" height="24" />
        <h1>{config.name}</h1>
        <span className="bar-quiet">
          {config.version} · {config.environment}
        </span>
      </div>
      {view.username === null ? (
        <SignInForm demo={config.demo} session={session} problem={view.problem} />
      ) : (
        <div className="bar-account">
          <span>
            Signed in as <strong data-testid="viewer">{view.username}</strong>
          </span>
          <span className="bar-quiet">every operation carries your token</span>
          <button type="button" onClick={() => void session.signOut()}>
            Sign out
          </button>
        </div>
      )}
    </header>
  );
}

function SignInForm({ demo, session, problem }: Pick<ExplorerConfig, "demo"> & Pick<Props, "session"> & { problem: string | null }) {
  const [login, setLogin] = useState("");
  const [password, setPassword] = useState("");
  const [busy, setBusy] = useState(false);

  async function signIn(as: { login: string; password: string }) {
    setBusy(true);
    await session.signIn(as.login, as.password);
    setBusy(false);
  }

  function submit(event: FormEvent) {
    event.preventDefault();
    void signIn({ login, password });
  }

  return (
    <form className="bar-account" onSubmit={submit} aria-label="Sign in">
      {problem !== null && (
        <span className="bar-problem" role="alert">
          {problem}
        </span>
      )}
      <input
        aria-label="Username or email"
        placeholder="Username or email"
        name="login"
        autoComplete="username"
        autoCapitalize="none"
        spellCheck={false}
        required
        value={login}
        onChange={(event) => setLogin(event.target.value)}
      />
      <input
        aria-label="Password"
        placeholder="Password"
        name="password"
        type="password"
        autoComplete="current-password"
        required
        value={password}
        onChange={(event) => setPassword(event.target.value)}
      />
      <button type="submit" className="primary" disabled={busy}>
        Sign in
      </button>
      {demo !== null && (
        <button type="button" disabled={busy} title={`Signs in as ${demo.login}`} onClick={() => void signIn(demo)}>
          Sign in as the demo user
        </button>
      )}
    </form>
  );
}
