package graph

import (
	"context"

	"bench/gqlgen/graph/model"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	userColumns    = `id, username, full_name`
	projectColumns = `id, name, key, owner_id`
	taskColumns    = `t.id, t.number, t.title, t.status, t.priority, t.tags, t.position, t.due_at,
		t.start_at, t.estimate, t.created_at, t.version, t.assignee_id, t.project_id`
)

// Database reads and writes the tables, with one prepared statement for each kind of question.
type Database struct{ Pool *pgxpool.Pool }

func many[T any](ctx context.Context, db Database, sql string, args ...any) ([]*T, error) {
	// An error of Query is reported by the rows too.
	rows, _ := db.Pool.Query(ctx, sql, args...)
	return pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[T])
}

func one[T any](ctx context.Context, db Database, sql string, args ...any) (*T, error) {
	rows, _ := db.Pool.Query(ctx, sql, args...)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByPos[T])
}

func (db Database) task(ctx context.Context, id string) (*model.Task, error) {
	return one[model.Task](ctx, db, `SELECT `+taskColumns+` FROM tasks t WHERE id = $1`, id)
}

func (db Database) tasks(ctx context.Context, first int) ([]*model.Task, error) {
	return many[model.Task](ctx, db, `SELECT `+taskColumns+` FROM tasks t
		ORDER BY created_at DESC, id DESC LIMIT $1`, first)
}

func (db Database) project(ctx context.Context, id string) (*model.Project, error) {
	return one[model.Project](ctx, db, `SELECT `+projectColumns+` FROM projects WHERE id = $1`, id)
}

func (db Database) projects(ctx context.Context, first int) ([]*model.Project, error) {
	return many[model.Project](ctx, db, `SELECT `+projectColumns+` FROM projects
		ORDER BY created_at DESC, id DESC LIMIT $1`, first)
}

func (db Database) users(ctx context.Context, ids []string) ([]*model.User, error) {
	return many[model.User](ctx, db, `SELECT `+userColumns+` FROM users WHERE id = ANY($1)`, ids)
}

func (db Database) tasksOf(ctx context.Context, ids []string, first int) ([]*model.Task, error) {
	return many[model.Task](ctx, db, `SELECT t.*
		FROM unnest($1::uuid[]) AS parent(id) CROSS JOIN LATERAL (
			SELECT `+taskColumns+` FROM tasks t WHERE project_id = parent.id
			ORDER BY position, id LIMIT $2
		) t`, ids, first)
}

func (db Database) commentsOf(
	ctx context.Context, ids []string, first int,
) ([]*model.Comment, error) {
	return many[model.Comment](ctx, db, `SELECT c.*
		FROM unnest($1::uuid[]) AS parent(id) CROSS JOIN LATERAL (
			SELECT id, body, author_id, task_id FROM comments WHERE task_id = parent.id
			ORDER BY created_at, id LIMIT $2
		) c`, ids, first)
}

func (db Database) createTask(
	ctx context.Context, id, projectID, title string, priority int, ownerID string,
) (*model.Task, error) {
	return one[model.Task](ctx, db, `WITH numbered AS (
			UPDATE projects SET last_number = last_number + 1 WHERE id = $2 RETURNING last_number
		)
		INSERT INTO tasks AS t (id, project_id, number, title, status, priority, position,
			owner_id, created_at, updated_at, version)
		SELECT $1, $2, last_number, $3, 10, $4, 'i0000000', $5, now(), now(), 1 FROM numbered
		RETURNING `+taskColumns, id, projectID, title, priority, ownerID)
}
