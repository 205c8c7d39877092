/**
 * The operations in the explorer's list. Each is a file of its own in `examples/`, which the tests
 * run against the server, so that none of them can fall behind the schema. Its first line is
 * `# Topic · Title`; the comment goes on with what it shows. Variables are in a file beside it.
 */
const FILES = import.meta.glob<string>("../examples/*", { query: "?raw", import: "default", eager: true });

export interface Example {
  topic: string;
  title: string;
  about: string;
  query: string;
  variables: string | null;
}

export const EXAMPLES: readonly Example[] = Object.keys(FILES)
  .filter((path) => path.endsWith(".graphql"))
  .sort()
  .map((path) => example(FILES[path] ?? "", FILES[path.replace(/graphql$/, "json")] ?? null));

/** By topic, in the order of the files. */
export const TOPICS: ReadonlyMap<string, readonly Example[]> = byTopic();

function byTopic(): Map<string, Example[]> {
  const topics = new Map<string, Example[]>();
  for (const each of EXAMPLES) topics.set(each.topic, [...(topics.get(each.topic) ?? []), each]);
  return topics;
}

function example(query: string, variables: string | null): Example {
  const [heading = "", ...comment] = query
    .slice(0, query.search(/^[^#]/m))
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/^# ?/, ""));
  const [topic = "", title = ""] = heading.split(" · ");
  // The first paragraph; the editor shows all of it.
  const about = comment.join("\n").trim().split("\n\n")[0]?.replaceAll("\n", " ") ?? "";
  return { topic, title, about, query, variables };
}
