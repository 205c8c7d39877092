/**
 * Settings for GraphQL Code Generator, for programs that use this client:
 *
 *     import { taskloom } from "@taskloom/client/codegen";
 *
 *     export default {
 *       schema: "schema.graphql",
 *       documents: "src/**\/*.graphql",
 *       generates: { "src/graphql/": taskloom },
 *     };
 */

/** The TypeScript types of the schema's scalars. */
export const scalars = {
  ...{ Color: "string", HTML: "string", ID: "string", Markdown: "string", URL: "string" },
  ...{ Date: "string", DateTime: "string", Duration: "string", LocalTime: "string" },
  ...{ TimeZone: "string", JSON: "unknown", Upload: "Blob" },
  ...{ Milliseconds: "number", Seconds: "number" },
} as const;

/** A folder made by the client preset. Documents are strings, which need no library to be sent. */
export const taskloom = {
  preset: "client",
  presetConfig: { fragmentMasking: false },
  config: {
    documentMode: "string",
    enumsAsTypes: true,
    useTypeImports: true,
    scalars,
    // `request` throws every error, so what is null only with an error is never null.
    // (This needs the package graphql-sock.)
    nullability: { errorHandlingClient: true },
  },
} as const;
