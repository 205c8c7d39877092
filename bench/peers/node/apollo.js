// Apollo Server with DataLoader. Its cache of parsed and validated documents is on as shipped.
import { ApolloServer } from "@apollo/server";
import { startStandaloneServer } from "@apollo/server/standalone";
import { Loaders, resolvers } from "./loaders.js";
import { typeDefs } from "./schema.js";

const server = new ApolloServer({ typeDefs, resolvers, introspection: true });
await startStandaloneServer(server, {
  context: async () => ({ loaders: new Loaders() }),
  listen: { port: Number(process.env.BENCH_PORT), host: "127.0.0.1" },
});
