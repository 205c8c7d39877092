// The statements of the servers written by hand: one for all parents of a relation, prepared.
import pg from "pg";

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

const rows = async (name, text, values) => (await pool.query({ name, text, values })).rows;

export const task = async (id) =>
  (await rows("task", `SELECT ${TASK} FROM tasks t WHERE id = $1`, [id]))[0];

export const tasks = (first) =>
  rows("tasks", `SELECT ${TASK} FROM tasks t ORDER BY created_at DESC, id DESC LIMIT $1`, [first]);

export const project = async (id) =>
  (await rows("project", `SELECT ${PROJECT} FROM projects WHERE id = $1`, [id]))[0];

export const projects = (first) =>
  rows("projects", `SELECT ${PROJECT} FROM projects ORDER BY created_at DESC, id DESC LIMIT $1`, [
    first,
  ]);

export const createTask = async (projectId, title, priority) =>
  (
    await rows(
      "create",
      `WITH numbered AS (
         UPDATE projects SET last_number = last_number + 1 WHERE id = $2 RETURNING last_number
       )
       INSERT INTO tasks AS t (id, project_id, number, title, status, priority, position,
         owner_id, created_at, updated_at, version)
       SELECT $1, $2, last_number, $3, 10, $4, 'i0000000', $5, now(), now(), 1 FROM numbered
       RETURNING ${TASK}`,
      [crypto.randomUUID(), projectId, title, priority, process.env.BENCH_USER],
    )
  )[0];

// By key, in the order of the keys, as loaders want it.

export const users = async (ids) => {
  const found = await rows("users", `SELECT ${USER} FROM users WHERE id = ANY($1)`, [
    [...new Set(ids)],
  ]);
  const byId = new Map(found.map((row) => [row.id, row]));
  return ids.map((id) => byId.get(id) ?? null);
};

const grouped = (found, column, keys) => {
  const groups = Map.groupBy(found, (row) => row[column]);
  return keys.map((key) => groups.get(key) ?? []);
};

export const tasksOf = async (projectIds, first) =>
  grouped(
    await rows(
      "project_tasks",
      `SELECT t.* FROM unnest($1::uuid[]) AS parent(id) CROSS JOIN LATERAL (
         SELECT ${TASK} FROM tasks t WHERE project_id = parent.id ORDER BY position, id LIMIT $2
       ) t`,
      [projectIds, first],
    ),
    "project_id",
    projectIds,
  );

export const commentsOf = async (taskIds, first) =>
  grouped(
    await rows(
      "comments",
      `SELECT c.* FROM unnest($1::uuid[]) AS parent(id) CROSS JOIN LATERAL (
         SELECT id, body, author_id, task_id FROM comments WHERE task_id = parent.id
         ORDER BY created_at, id LIMIT $2
       ) c`,
      [taskIds, first],
    ),
    "task_id",
    taskIds,
  );
