import { readFileSync, writeFileSync } from "node:fs";

import { taskloom } from "./src/codegen.ts";

/** Programs that use the client need not have the package with these types. */
function ownTypes(path: string): void {
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.replace("@graphql-typed-document-node/core", "../documents.ts"));
}

export default {
  schema: "../../schema.graphql",
  documents: "src/operations.graphql",
  // As Node.js and browsers import modules.
  importExtension: ".ts",
  generates: { "src/generated/": taskloom },
  hooks: { afterOneFileWrite: ownTypes },
};
