// Mercurius with graphql-jit and its own loaders: each relation is one statement for all its
// parents.
import Fastify from "fastify";
import mercurius from "mercurius";
import * as database from "./database.js";
import { roots as resolvers, typeDefs as schema } from "./schema.js";

const users = (column) => (queries) => database.users(queries.map(({ obj }) => obj[column]));
const page = (load) => (queries) =>
  load(
    queries.map(({ obj }) => obj.id),
    queries[0].params.first,
  );

// Without the loaders' cache, which would write every parent as JSON for its key.
const uncached = (loader) => ({ loader, opts: { cache: false } });

const loaders = {
  Task: {
    assignee: uncached(users("assignee_id")),
    comments: uncached(page(database.commentsOf)),
  },
  Comment: { author: uncached(users("author_id")) },
  Project: { owner: uncached(users("owner_id")), tasks: uncached(page(database.tasksOf)) },
};

const app = Fastify();
app.register(mercurius, { schema, resolvers, loaders, jit: 1, graphiql: false });
await app.listen({ port: Number(process.env.BENCH_PORT), host: "127.0.0.1" });
