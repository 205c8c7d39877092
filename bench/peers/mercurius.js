// Mercurius with graphql-jit and loaders: each relation is one statement for all its parents.
import Fastify from "fastify";
import mercurius from "mercurius";
import pg from "pg";

// Numbers that fit: `timestamptz` stays a Date, which the DateTime scalar below writes.
const pool = new pg.Pool({
  host: process.env.BENCH_DB_HOST,
  user: process.env.BENCH_DB_USER,
  database: process.env.BENCH_DB_NAME,
  max: 10,
});

const TASK = `t.id, t.number, t.title, t.status, t.priority, t.tags, t.position,
  t.due_at AS "dueAt", t.start_at AS "startAt", t.estimate,
  t.created_at AS "createdAt", t.version, t.assignee_id, t.project_id`;
const USER = `id, username, full_name AS "fullName"`;
const PROJECT = `id, name, key, owner_id`;

const schema = `
  scalar DateTime
  type User { id: ID! username: String! fullName: String }
  type Comment { id: ID! body: String! author: User! }
  type Task {
    id: ID! number: Int title: String! status: Int! priority: Int! tags: [String!]!
    position: String! dueAt: DateTime startAt: DateTime estimate: Int
    createdAt: DateTime! version: Int!
    assignee: User
    comments(first: Int!): [Comment!]!
  }
  type Project { id: ID! name: String! key: String! owner: User! tasks(first: Int!): [Task!]! }
  type Query {
    task(id: ID!): Task
    tasks(first: Int!): [Task!]!
    project(id: ID!): Project
    projects(first: Int!): [Project!]!
  }
  type Mutation { createTask(projectId: ID!, title: String!, priority: Int!): Task! }
`;

const rows = async (name, text, values) => (await pool.query({ name, text, values })).rows;

const resolvers = {
  DateTime: new (await import("graphql")).GraphQLScalarType({
    name: "DateTime",
    serialize: (value) => value.toISOString(),
  }),
  Query: {
    task: async (_, { id }) =>
      (await rows("task", `SELECT ${TASK} FROM tasks t WHERE id = $1`, [id]))[0],
    tasks: (_, { first }) =>
      rows("tasks", `SELECT ${TASK} FROM tasks t ORDER BY created_at DESC, id DESC LIMIT $1`, [
        first,
      ]),
    project: async (_, { id }) =>
      (await rows("project", `SELECT ${PROJECT} FROM projects WHERE id = $1`, [id]))[0],
    projects: (_, { first }) =>
      rows(
        "projects",
        `SELECT ${PROJECT} FROM projects ORDER BY created_at DESC, id DESC LIMIT $1`,
        [first],
      ),
  },
  Mutation: {
    createTask: async (_, { projectId, title, priority }, context) =>
      (
        await rows(
          "create",
          `WITH numbered AS (
             UPDATE projects SET last_number = last_number + 1 WHERE id = $2
             RETURNING last_number
           )
           INSERT INTO tasks AS t (id, project_id, number, title, status, priority, position,
             owner_id, created_at, updated_at, version)
           SELECT $1, $2, last_number, $3, 10, $4, 'i0000000', $5, now(), now(), 1 FROM numbered
           RETURNING ${TASK}`,
          [crypto.randomUUID(), projectId, title, priority, process.env.BENCH_USER],
        )
      )[0],
  },
};

// The rows of a statement, by a column of theirs.
const grouped = (found, column) => Map.groupBy(found, (row) => row[column]);

const users = (column) => async (queries) => {
  const ids = [...new Set(queries.map(({ obj }) => obj[column]).filter(Boolean))];
  const found = await rows("users", `SELECT ${USER} FROM users WHERE id = ANY($1)`, [ids]);
  const byId = new Map(found.map((row) => [row.id, row]));
  return queries.map(({ obj }) => byId.get(obj[column]) ?? null);
};

// Without the loaders' cache, which would write every parent as JSON for its key.
const uncached = (loader) => ({ loader, opts: { cache: false } });

const loaders = {
  Task: {
    assignee: uncached(users("assignee_id")),
    comments: uncached(async (queries) => {
      const found = await rows(
        "comments",
        `SELECT c.* FROM unnest($1::uuid[]) AS parent(id) CROSS JOIN LATERAL (
           SELECT id, body, author_id, task_id FROM comments WHERE task_id = parent.id
           ORDER BY created_at, id LIMIT $2
         ) c`,
        [queries.map(({ obj }) => obj.id), queries[0].params.first],
      );
      const byTask = grouped(found, "task_id");
      return queries.map(({ obj }) => byTask.get(obj.id) ?? []);
    }),
  },
  Comment: { author: uncached(users("author_id")) },
  Project: {
    owner: uncached(users("owner_id")),
    tasks: uncached(async (queries) => {
      const found = await rows(
        "project_tasks",
        `SELECT t.* FROM unnest($1::uuid[]) AS parent(id) CROSS JOIN LATERAL (
           SELECT ${TASK} FROM tasks t WHERE project_id = parent.id ORDER BY position, id LIMIT $2
         ) t`,
        [queries.map(({ obj }) => obj.id), queries[0].params.first],
      );
      const byProject = grouped(found, "project_id");
      return queries.map(({ obj }) => byProject.get(obj.id) ?? []);
    }),
  },
};

const app = Fastify();
app.register(mercurius, { schema, resolvers, loaders, jit: 1, graphiql: false });
await app.listen({ port: Number(process.env.BENCH_PORT), host: "127.0.0.1" });
