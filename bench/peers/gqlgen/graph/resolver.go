package graph

import (
	"context"

	"bench/gqlgen/graph/model"

	"github.com/google/uuid"
)

// Resolver has what all resolvers need.
type Resolver struct {
	Database Database
	// Who creates tasks.
	UserID string
}

func (r queryResolver) Task(ctx context.Context, id string) (*model.Task, error) {
	return r.Database.task(ctx, id)
}

func (r queryResolver) Tasks(ctx context.Context, first int) ([]*model.Task, error) {
	return r.Database.tasks(ctx, first)
}

func (r queryResolver) Project(ctx context.Context, id string) (*model.Project, error) {
	return r.Database.project(ctx, id)
}

func (r queryResolver) Projects(ctx context.Context, first int) ([]*model.Project, error) {
	return r.Database.projects(ctx, first)
}

func (r mutationResolver) CreateTask(
	ctx context.Context, projectID string, title string, priority int,
) (*model.Task, error) {
	return r.Database.createTask(ctx, uuid.NewString(), projectID, title, priority, r.UserID)
}

func (r taskResolver) Assignee(ctx context.Context, task *model.Task) (*model.User, error) {
	if task.AssigneeID == nil {
		return nil, nil
	}
	return loaders(ctx).users.Load(ctx, *task.AssigneeID)
}

func (r taskResolver) Comments(
	ctx context.Context, task *model.Task, first int,
) ([]*model.Comment, error) {
	return loaders(ctx).comments.Load(ctx, page{task.ID, first})
}

func (r commentResolver) Author(ctx context.Context, comment *model.Comment) (*model.User, error) {
	return loaders(ctx).users.Load(ctx, comment.AuthorID)
}

func (r projectResolver) Owner(ctx context.Context, project *model.Project) (*model.User, error) {
	return loaders(ctx).users.Load(ctx, project.OwnerID)
}

func (r projectResolver) Tasks(
	ctx context.Context, project *model.Project, first int,
) ([]*model.Task, error) {
	return loaders(ctx).tasks.Load(ctx, page{project.ID, first})
}

// Comment, Mutation, Project, Query and Task give the resolvers of each type.
func (r *Resolver) Comment() CommentResolver   { return commentResolver{r} }
func (r *Resolver) Mutation() MutationResolver { return mutationResolver{r} }
func (r *Resolver) Project() ProjectResolver   { return projectResolver{r} }
func (r *Resolver) Query() QueryResolver       { return queryResolver{r} }
func (r *Resolver) Task() TaskResolver         { return taskResolver{r} }

type (
	commentResolver  struct{ *Resolver }
	mutationResolver struct{ *Resolver }
	projectResolver  struct{ *Resolver }
	queryResolver    struct{ *Resolver }
	taskResolver     struct{ *Resolver }
)
