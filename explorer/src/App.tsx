import { explorerPlugin } from "@graphiql/plugin-explorer";
import { HISTORY_PLUGIN } from "@graphiql/plugin-history";
import { useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { GraphiQL } from "graphiql";
import { useEffect, useSyncExternalStore } from "react";
import { AccountBar } from "./AccountBar";
import type { ExplorerConfig } from "./config";
import { EXAMPLES } from "./examples";
import { EXAMPLES_PLUGIN } from "./ExamplesPlugin";
import { EXPLAIN_PLUGIN } from "./ExplainPlugin";
import type { SessionView } from "./session";
import type { Transport } from "./transport";

// GraphiQL compares plugins and tabs by identity: they are made once.
const PLUGINS = [explorerPlugin({ showAttribution: false }), HISTORY_PLUGIN, EXAMPLES_PLUGIN];
const PLUGINS_IN_DEVELOPMENT = [...PLUGINS, EXPLAIN_PLUGIN];
const TABS = EXAMPLES.map(({ query, variables }) => ({ query, variables }));

export function App({ config, transport }: { config: ExplorerConfig; transport: Transport }) {
  const { session, fetcher } = transport;
  const view = useSyncExternalStore(session.subscribe, session.view);
  return (
    <div className="app">
      <AccountBar config={config} session={session} view={view} />
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
        <SchemaOfViewer username={view.username} />
      </GraphiQL>
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
