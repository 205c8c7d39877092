// As a program that uses the client would write it.
import { taskloom } from "@taskloom/client/codegen";

export default {
  schema: "../../schema.graphql",
  importExtension: ".ts",
  generates: {
    "tests/generated/": { ...taskloom, documents: "tests/operations.graphql" },
    // What is committed as src/generated, here and in the board, to be compared.
    "tests/generated/client/": { ...taskloom, documents: "src/operations.graphql" },
    "tests/generated/board/": { ...taskloom, documents: "../board/src/operations/*.graphql" },
  },
};
