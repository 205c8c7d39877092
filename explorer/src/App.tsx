import { explorerPlugin } from "@graphiql/plugin-explorer";
import { HISTORY_PLUGIN } from "@graphiql/plugin-history";
import { useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { GraphiQL } from "graphiql";
import { useEffect, useState } from "react";
import { AccountBar } from "./AccountBar";
import { AnswerNotes } from "./AnswerNotes";
import type { ExplorerConfig } from "./config";
import { CopyMenu } from "./CopyMenu";
import { Estimate } from "./Estimate";
import { TOPICS } from "./examples";
import { EXAMPLES_PLUGIN } from "./ExamplesPlugin";
import { EXPLAIN_PLUGIN } from "./ExplainPlugin";
import { Notice } from "./Notice";
import type { SessionView } from "./session";
import { useStore } from "./store";
import type { Transport } from "./transport";

// GraphiQL compares plugins and tabs by identity: they are made once.
const PLUGINS = [explorerPlugin({ showAttribution: false }), HISTORY_PLUGIN, EXAMPLES_PLUGIN];
const PLUGINS_IN_DEVELOPMENT = [...PLUGINS, EXPLAIN_PLUGIN];
const TABS = (TOPICS.get("Start") ?? []).map(({ query, variables }) => ({ query, variables }));

export function App({ config, transport }: { config: ExplorerConfig; transport: Transport }) {
  const { session, fetcher } = transport;
  const view = useStore(session);
  return (
    <div className="app">
      <AccountBar config={config} session={session} view={view} />
      <main>
        <GraphiQL
          fetcher={fetcher}
          plugins={config.environment === "development" ? PLUGINS_IN_DEVELOPMENT : PLUGINS}
          defaultTabs={TABS}
          defaultEditorToolsVisibility="variables"
          shouldPersistHeaders={false}
          inputValueDeprecation
          schemaDescription
        >
          <GraphiQL.Logo> </GraphiQL.Logo>
          <GraphiQL.Toolbar>
            {({ prettify, merge, copy }) => (
              <>
                <Estimate transport={transport} most={config.points} />
                {prettify}
                {merge}
                {copy}
                <CopyMenu transport={transport} />
              </>
            )}
          </GraphiQL.Toolbar>
          <GraphiQL.Footer>
            <AnswerNotes transport={transport} />
          </GraphiQL.Footer>
          <SchemaOfViewer username={view.username} />
          <ThemeOfSystem />
          <StoppedNotice transport={transport} />
        </GraphiQL>
      </main>
    </div>
  );
}

/** Asks for the schema again when somebody signs in, on a server that hides it from strangers. */
function SchemaOfViewer({ username }: Pick<SessionView, "username">) {
  const hasSchema = useGraphiQL((state) => state.schema != null || state.isIntrospecting);
  const { introspect } = useGraphiQLActions();
  useEffect(() => {
    if (username !== null && !hasSchema) void introspect();
    // Only a sign-in asks again; a schema that cannot be had must not be asked for in a loop.
  }, [username]);
  return null;
}

/** GraphiQL takes the system's colours when it starts, and its editors keep them when these change. */
function ThemeOfSystem() {
  const theme = useGraphiQL((state) => state.theme);
  const { setTheme } = useGraphiQLActions();
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => setTheme(theme);
    dark.addEventListener("change", follow);
    return () => dark.removeEventListener("change", follow);
  }, [theme, setTheme]);
  return null;
}

/** GraphiQL stops a subscription when one changes tabs, without a word. In a new tab it would go on. */
function StoppedNotice({ transport }: { transport: Transport }) {
  const tab = useGraphiQL((state) => state.tabs[state.activeTabIndex]?.id);
  const { stop } = useGraphiQLActions();
  const [isShown, setShown] = useState(false);
  useEffect(() => {
    stop();
    if (performance.now() - transport.stoppedAt < 500) setShown(true);
  }, [tab, stop, transport]);
  if (!isShown) return null;
  return (
    <Notice onClose={() => setShown(false)}>
      The subscription stopped when you changed tabs. To watch it meanwhile, open this page in a second window. With
      its last cursor as <code>after</code> it goes on where it was.
    </Notice>
  );
}
