import { taskloom } from "./src/codegen.ts";

export default {
  schema: "../../schema.graphql",
  documents: "src/operations.graphql",
  // As Node.js and browsers import modules.
  importExtension: ".ts",
  generates: { "src/generated/": taskloom },
};
