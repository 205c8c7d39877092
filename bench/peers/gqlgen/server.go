// A server on gqlgen, as its documentation teaches: pgx, data loaders for each request, and the
// cache of parsed documents.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"

	"bench/gqlgen/graph"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/vektah/gqlparser/v2/ast"
)

func main() {
	address := fmt.Sprintf("host=%s user=%s dbname=%s pool_max_conns=10",
		os.Getenv("BENCH_DB_HOST"), os.Getenv("BENCH_DB_USER"), os.Getenv("BENCH_DB_NAME"))
	pool, err := pgxpool.New(context.Background(), address)
	if err != nil {
		log.Fatal(err)
	}
	database := graph.Database{Pool: pool}
	resolver := &graph.Resolver{Database: database, UserID: os.Getenv("BENCH_USER")}
	server := handler.New(graph.NewExecutableSchema(graph.Config{Resolvers: resolver}))
	server.AddTransport(transport.POST{})
	server.SetQueryCache(lru.New[*ast.QueryDocument](1000))
	server.Use(extension.Introspection{})
	http.Handle("/graphql", graph.WithLoaders(database, server))
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("BENCH_PORT"), nil))
}
