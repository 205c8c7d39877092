// Compares two schemas with @graphql-inspector. Prints the changes that break clients, one JSON
// object a line: what changed (such as `Query.tasks`) and how.
import { CriticalityLevel, diff } from "@graphql-inspector/core";
import { buildSchema } from "graphql";
import { readFileSync } from "node:fs";

const [before, after] = process.argv.slice(2).map((path) => buildSchema(readFileSync(path, "utf8")));
for (const { criticality, path, message } of await diff(before, after)) {
  if (criticality.level === CriticalityLevel.Breaking) console.log(JSON.stringify({ path, message }));
}
