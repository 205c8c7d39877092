import { taskloom } from "../typescript/src/codegen.ts";

// GraphQL Code Generator is installed with the client; `make client-types` writes
// src/generated from src/operations.
export default {
  schema: "../../schema.graphql",
  documents: "../board/src/operations/*.graphql",
  generates: { "../board/src/generated/": taskloom },
};
