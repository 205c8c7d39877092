import { defineConfig } from "vite";

// `npm run dev` shows the explorer with hot reload; the API is the one that `make serve` runs.
const server = "http://127.0.0.1:8000";

export default defineConfig({
  // Relative addresses, so that the page also works below a path that a proxy adds.
  base: "./",
  build: {
    // Everything but the page itself lies below one path: the server has one place to mind.
    assetsDir: "explorer/assets",
    target: "es2022",
    // Monaco, the editor, is one chunk of this size whatever we do.
    chunkSizeWarningLimit: 5000,
    rolldownOptions: {
      onLog(level, log, report) {
        // "use client" in a library is for frameworks that render on a server; here it says nothing.
        if (log.code !== "MODULE_LEVEL_DIRECTIVE") report(level, log);
      },
    },
  },
  // Monaco's workers import chunks of their own, which only ES modules can.
  worker: { format: "es" },
  server: {
    proxy: {
      "/graphql": { target: server, ws: true },
      "/explorer/config.json": server,
    },
  },
});
