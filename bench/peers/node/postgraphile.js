// PostGraphile 5 over the bench's tables, as its documentation starts it: the schema is read from
// the database, nothing is written by hand.
import { createServer } from "node:http";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";

const preset = {
  extends: [PostGraphileAmberPreset],
  pgServices: [
    makePgService({
      poolConfig: {
        host: process.env.BENCH_DB_HOST,
        user: process.env.BENCH_DB_USER,
        database: process.env.BENCH_DB_NAME,
        max: 10,
      },
      schemas: ["public"],
    }),
  ],
  grafserv: { graphqlPath: "/graphql", graphiql: false, watch: false },
  grafast: { explain: false },
};

const instance = postgraphile(preset);
const server = createServer();
server.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
await instance.createServ(grafserv).addTo(server);
server.listen(Number(process.env.BENCH_PORT), "127.0.0.1");
