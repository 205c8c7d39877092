import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

// `npm run dev` shows the explorer with hot reload; the API is the one that `make serve` runs.
const server = "http://127.0.0.1:8000";

/** Writes a compressed copy beside each large file, so that the server never spends time on it. */
const compressed: Plugin = {
  name: "compressed",
  apply: "build",
  async writeBundle({ dir = "dist" }, bundle) {
    const names = Object.keys(bundle).filter((name) => /\.(js|css)$/.test(name));
    await Promise.all(
      names.map(async (name) => {
        const path = join(dir, name);
        await writeFile(`${path}.gz`, await promisify(gzip)(await readFile(path), { level: 9 }));
      }),
    );
  },
};

export default defineConfig({
  plugins: [compressed],
  // Relative addresses, so that the page also works below a path that a proxy adds.
  base: "./",
  build: {
    // Everything but the page itself lies below one path: the server has one place to mind.
    assetsDir: "explorer/assets",
    target: "es2022",
    // Monaco, the editor, is one chunk of this size whatever we do.
    chunkSizeWarningLimit: 5000,
    reportCompressedSize: false,
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
