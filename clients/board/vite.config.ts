import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

// `npm run dev` shows the board with hot reload; the API is the one that `make serve` runs.
const server = "http://127.0.0.1:8000";

/** Writes a compressed copy beside each file, so that the server never spends time on it. */
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
  resolve: {
    // The client as it is in this repository. Elsewhere: npm install ./path/to/clients/typescript
    alias: {
      "@taskloom/client": fileURLToPath(new URL("../typescript/src/index.ts", import.meta.url)),
    },
    dedupe: ["graphql-ws", "idb-keyval"],
  },
  build: {
    target: "es2022",
    // Small pictures would otherwise become `data:` addresses.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  server: {
    proxy: {
      "/graphql": { target: server, ws: true },
      "/explorer/config.json": server,
      "/files": server,
      "/avatars": server,
    },
  },
});
