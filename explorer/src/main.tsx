import "graphiql/setup-workers/vite";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { loadConfig } from "./config";
import { Transport } from "./transport";
import "graphiql/style.css";
import "@graphiql/plugin-explorer/style.css";
import "./style.css";

const root = createRoot(document.getElementById("root")!);

try {
  const config = await loadConfig();
  document.title = `${config.name} explorer`;
  root.render(
    <StrictMode>
      <App config={config} transport={new Transport(config.endpoint)} />
    </StrictMode>,
  );
} catch (error) {
  root.render(
    <p className="fatal" role="alert">
      The explorer could not start: {(error as Error).message}
    </p>,
  );
}
