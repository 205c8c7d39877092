// GraphQL Yoga with DataLoader. Its cache of parsed and validated documents is on as shipped.
import { createServer } from "node:http";
import { createSchema, createYoga } from "graphql-yoga";
import { Loaders, resolvers } from "./loaders.js";
import { typeDefs } from "./schema.js";

const yoga = createYoga({
  schema: createSchema({ typeDefs, resolvers }),
  context: () => ({ loaders: new Loaders() }),
  graphiql: false,
  logging: false,
});
createServer(yoga).listen(Number(process.env.BENCH_PORT), "127.0.0.1");
