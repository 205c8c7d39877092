/**
 * An operation as code to go on with: a `curl` command, JavaScript with `fetch`, Python with `gql`.
 *
 * The token is not copied: the code reads it from the environment variable TOKEN. Every text is
 * quoted for its language, so that a document with quotes, `$` or backslashes arrives as it is.
 */
import { OperationTypeNode } from "graphql";
import { ownAuthorization } from "./graphql";
import type { Written } from "./written";

export interface Source extends Written {
  /** The address of the API. */
  url: string;
  signedIn: boolean;
}

const TOKEN_IS = "TOKEN in the environment is an access token or an API key.";
const SSE = "text/event-stream";
const JSON_ANSWER = "application/graphql-response+json";

export function asCurl(source: Source): string {
  const headers = plainHeaders(source).map(([name, value]) => `-H ${inShell(`${name}: ${value}`)}`);
  if (needsToken(source)) headers.push('-H "Authorization: Bearer $TOKEN"');
  const parts = [
    `curl -sS${isSubscription(source) ? "N" : ""} ${inShell(source.url)}`,
    ...headers,
    `--data-raw ${inShell(JSON.stringify(source.operation))}`,
  ];
  return [...comment("#", source), `${parts.join(" \\\n  ")}\n`].join("\n");
}

export function asFetch(source: Source): string {
  const { query, variables, operationName } = source.operation;
  const body = { query: "query", ...(variables && { variables: "variables" }) };
  const names = [...Object.values(body), ...(operationName ? [`operationName: ${JSON.stringify(operationName)}`] : [])];
  const headers = plainHeaders(source).map(([name, value]) => `    ${JSON.stringify(name)}: ${JSON.stringify(value)},`);
  if (needsToken(source)) headers.push("    Authorization: `Bearer ${process.env.TOKEN}`,");
  return [
    ...comment("//", source),
    `const query = ${inTemplate(query)};`,
    ...(variables ? [`const variables = ${JSON.stringify(variables, null, 2)};`] : []),
    "",
    `const response = await fetch(${JSON.stringify(source.url)}, {`,
    `  method: "POST",`,
    "  headers: {",
    ...headers,
    "  },",
    `  body: JSON.stringify({ ${names.join(", ")} }),`,
    "});",
    ...(isSubscription(source)
      ? [
          "for await (const text of response.body.pipeThrough(new TextDecoderStream())) {",
          "  console.log(text);",
          "}",
        ]
      : ["console.log(JSON.stringify(await response.json(), null, 2));"]),
    "",
  ].join("\n");
}

export function asPython(source: Source): string {
  const { query, variables, operationName } = source.operation;
  const live = isSubscription(source);
  const own = Object.entries(source.headers).filter(([name]) => !isAuthorization(name));
  const headers = own.map(([name, value]) => `    ${JSON.stringify(name)}: ${JSON.stringify(value)},`);
  if (needsToken(source)) headers.push(`    "Authorization": f"Bearer {os.environ['TOKEN']}",`);
  const url = live ? source.url.replace(/^http/, "ws") : source.url;
  return [
    `# pip install "gql[${live ? "websockets" : "httpx"}]"`,
    ...comment("#", source),
    "import json",
    ...(needsToken(source) ? ["import os"] : []),
    "",
    "from gql import Client, GraphQLRequest",
    live
      ? "from gql.transport.websockets import WebsocketsTransport"
      : "from gql.transport.httpx import HTTPXTransport",
    "",
    "request = GraphQLRequest(",
    `    ${inTripleQuotes(query)},`,
    ...(variables ? [`    variable_values=${inPython(variables, "    ")},`] : []),
    ...(operationName ? [`    operation_name=${JSON.stringify(operationName)},`] : []),
    ")",
    "headers = {",
    ...headers,
    "}",
    live
      ? `transport = WebsocketsTransport(url=${JSON.stringify(url)}, init_payload=headers)`
      : `transport = HTTPXTransport(url=${JSON.stringify(url)}, headers=headers)`,
    ...(live
      ? [
          "for result in Client(transport=transport).subscribe(request):",
          "    print(json.dumps(result, indent=2), flush=True)",
        ]
      : ["print(json.dumps(Client(transport=transport).execute(request), indent=2))"]),
    "",
  ].join("\n");
}

function isSubscription({ kind }: Source): boolean {
  return kind === OperationTypeNode.SUBSCRIPTION;
}

function needsToken({ signedIn, headers }: Source): boolean {
  return signedIn || ownAuthorization(headers) !== null;
}

function comment(sign: string, source: Source): string[] {
  return needsToken(source) ? [`${sign} ${TOKEN_IS}`] : [];
}

function isAuthorization(name: string): boolean {
  return name.toLowerCase() === "authorization";
}

/** All headers but `Authorization`. */
function plainHeaders(source: Source): [string, string][] {
  const headers = {
    Accept: isSubscription(source) ? SSE : JSON_ANSWER,
    "Content-Type": "application/json",
    ...source.headers,
  };
  return Object.entries(headers).filter(([name]) => !isAuthorization(name));
}

function inShell(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function inTemplate(text: string): string {
  return `\`${text.replaceAll("\\", "\\\\").replaceAll("`", "\\`").replaceAll("${", "\\${")}\``;
}

function inTripleQuotes(text: string): string {
  return `'''${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'''`;
}

/** A JSON value in Python's words; its strings are Python's too. */
function inPython(value: unknown, indent: string): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}    `;
  const [open, close, items] = Array.isArray(value)
    ? ["[", "]", value.map((item) => inPython(item, inner))]
    : ["{", "}", Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${inPython(item, inner)}`)];
  if (items.length === 0) return open + close;
  return `${open}\n${items.map((item) => `${inner}${item},\n`).join("")}${indent}${close}`;
}
