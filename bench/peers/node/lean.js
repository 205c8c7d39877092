// The least around GraphQL that JavaScript offers: documents compiled once by graphql-jit,
// DataLoader, and the bare HTTP server of Node.js or of Bun.
import { createServer } from "node:http";
import { makeExecutableSchema } from "@graphql-tools/schema";
import { parse, validate } from "graphql";
import { compileQuery, isCompiledQuery } from "graphql-jit";
import { Loaders, resolvers } from "./loaders.js";
import { typeDefs } from "./schema.js";

const DOCUMENTS = 1000;
const schema = makeExecutableSchema({ typeDefs, resolvers });
const compiled = new Map();

const compile = (text) => {
  const document = parse(text);
  const errors = validate(schema, document);
  const made = errors.length ? { errors } : compileQuery(schema, document);
  if (compiled.size >= DOCUMENTS) compiled.delete(compiled.keys().next().value);
  compiled.set(text, made);
  return made;
};

const answer = async (body) => {
  const { query, variables } = JSON.parse(body);
  const made = compiled.get(query) ?? compile(query);
  if (!isCompiledQuery(made)) return JSON.stringify(made);
  return JSON.stringify(await made.query(undefined, { loaders: new Loaders() }, variables));
};

const headers = { "content-type": "application/json" };
const address = { port: Number(process.env.BENCH_PORT), hostname: "127.0.0.1" };

if (globalThis.Bun) {
  Bun.serve({
    ...address,
    fetch: async (request) => new Response(await answer(await request.text()), { headers }),
  });
} else {
  createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", async () => {
      const text = await answer(Buffer.concat(parts).toString());
      response.writeHead(200, { ...headers, "content-length": Buffer.byteLength(text) });
      response.end(text);
    });
  }).listen(address.port, address.hostname);
}
