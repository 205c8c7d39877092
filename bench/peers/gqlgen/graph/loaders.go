package graph

import (
	"context"
	"net/http"
	"time"

	"bench/gqlgen/graph/model"

	"github.com/vikstrous/dataloadgen"
)

type loadersKey struct{}

// A page of a parent's objects.
type page struct {
	parent string
	first  int
}

// Loaders collect the keys of a millisecond, and read them in one statement. Each request has its
// own, as gqlgen's documentation teaches.
type Loaders struct {
	users    *dataloadgen.Loader[string, *model.User]
	tasks    *dataloadgen.Loader[page, []*model.Task]
	comments *dataloadgen.Loader[page, []*model.Comment]
}

func newLoaders(db Database) *Loaders {
	wait := dataloadgen.WithWait(time.Millisecond)
	return &Loaders{
		users: dataloadgen.NewMappedLoader(
			func(ctx context.Context, ids []string) (map[string]*model.User, error) {
				found, err := db.users(ctx, ids)
				byID := make(map[string]*model.User, len(found))
				for _, user := range found {
					byID[user.ID] = user
				}
				return byID, err
			}, wait),
		tasks: dataloadgen.NewMappedLoader(
			pages(db.tasksOf, func(task *model.Task) string { return *task.ProjectID }), wait),
		comments: dataloadgen.NewMappedLoader(
			pages(db.commentsOf, func(comment *model.Comment) string { return comment.TaskID }), wait),
	}
}

func pages[T any](
	read func(context.Context, []string, int) ([]T, error), parentOf func(T) string,
) func(context.Context, []page) (map[page][]T, error) {
	return func(ctx context.Context, keys []page) (map[page][]T, error) {
		parents := map[int][]string{}
		groups := make(map[page][]T, len(keys))
		for _, key := range keys {
			parents[key.first] = append(parents[key.first], key.parent)
			groups[key] = []T{}
		}
		for first, ids := range parents {
			found, err := read(ctx, ids, first)
			if err != nil {
				return nil, err
			}
			for _, item := range found {
				key := page{parentOf(item), first}
				groups[key] = append(groups[key], item)
			}
		}
		return groups, nil
	}
}

// WithLoaders gives each request its loaders.
func WithLoaders(db Database, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), loadersKey{}, newLoaders(db))
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func loaders(ctx context.Context) *Loaders {
	return ctx.Value(loadersKey{}).(*Loaders)
}
