// Generates TypeScript for documents with GraphQL Code Generator's client preset, every scalar
// mapped, into a folder: codegen.mjs SCHEMA OUT DOCUMENT…
import { codegen } from "@graphql-codegen/core";
import { preset } from "@graphql-codegen/client-preset";
import { buildASTSchema, parse } from "graphql";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

// As they are in JSON. `strictScalars` refuses a scalar that is missing here.
const scalars = {
  Color: "string",
  Date: "string",
  DateTime: "string",
  Duration: "string",
  HTML: "string",
  ID: "string",
  JSON: "unknown",
  LocalTime: "string",
  Markdown: "string",
  Milliseconds: "number",
  Seconds: "number",
  TimeZone: "string",
  Upload: "Blob",
  URL: "string",
};

const [schema, out, ...paths] = process.argv.slice(2);
const ast = parse(readFileSync(schema, "utf8"));
const documents = paths.map((path) => {
  const rawSDL = readFileSync(path, "utf8");
  return { location: basename(path), rawSDL, document: parse(rawSDL) };
});
const files = await preset.buildGeneratesSection({
  baseOutputDir: `${out}/`,
  schema: ast,
  schemaAst: buildASTSchema(ast),
  documents,
  presetConfig: {},
  config: { scalars, strictScalars: true, useTypeImports: true },
  plugins: [],
  pluginMap: {},
});
for (const file of files) {
  const path = join(out, basename(file.filename));
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, await codegen(file));
}
console.log(files.map(({ filename }) => basename(filename)).join(" "));
