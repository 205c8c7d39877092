// As a program that uses the client would write it.
import { taskloom } from "@taskloom/client/codegen";

export default {
  schema: "../../schema.graphql",
  documents: "tests/operations.graphql",
  importExtension: ".ts",
  generates: { "tests/generated/": taskloom },
};
