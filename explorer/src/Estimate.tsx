import { useEffect, useState } from "react";
import { ownAuthorization } from "./graphql";
import type { Cost } from "./run";
import { useStore } from "./store";
import type { Transport } from "./transport";
import { useWritten, type Written } from "./written";

/** How long nothing is typed before the server is asked. */
const PAUSE_MS = 500;

/** Below the button that runs it: what the operation in the editors would cost. */
export function Estimate({ transport, most }: { transport: Transport; most: number }) {
  const written = useWritten();
  const { username } = useStore(transport.session);
  const [estimate, setEstimate] = useState<{ of: Written; cost: Cost | null } | null>(null);
  // Nobody's operations are refused; what they would cost is of no use.
  const asks = written !== null && (username !== null || ownAuthorization(written.headers) !== null);

  useEffect(() => {
    if (!asks) return;
    const overtaken = new AbortController();
    const timer = setTimeout(async () => {
      const { operation, headers } = written;
      const cost = await transport.estimate(operation, headers, overtaken.signal).catch(() => null);
      if (!overtaken.signal.aborted) setEstimate({ of: written, cost });
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      overtaken.abort();
    };
  }, [written, asks, username, transport]);

  const cost = estimate?.cost;
  if (!asks || cost == null) return null;
  const { requested, remaining } = cost;
  const problem =
    requested > most
      ? `More than the ${most.toLocaleString("en")} points that one operation may cost.`
      : requested > remaining
        ? `Only ${remaining.toLocaleString("en")} points are left in this minute.`
        : null;
  const classes = ["estimate", problem && "problem", estimate?.of !== written && "outdated"];
  return (
    <p className={classes.filter(Boolean).join(" ")} title={problem ?? "What this operation costs"} data-testid="estimate">
      <span className="spoken">Costs </span>
      {requested.toLocaleString("en")} <small>{requested === 1 ? "point" : "points"}</small>
      {problem !== null && <span className="spoken">. {problem}</span>}
    </p>
  );
}
