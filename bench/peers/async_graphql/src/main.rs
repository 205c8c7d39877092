//! A server on async-graphql, as its documentation teaches: axum, tokio-postgres with a pool, and
//! DataLoader.
mod database;
mod loaders;
mod schema;

use std::env;

use async_graphql::dataloader::DataLoader;
use async_graphql::{EmptySubscription, Schema};
use async_graphql_axum::GraphQL;
use axum::Router;
use axum::routing::post_service;
use database::Database;
use loaders::{Comments, Tasks, Users};
use schema::{Creator, Mutation, Query};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() {
    let setting = |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let database = Database::open(
        setting("BENCH_DB_HOST"),
        setting("BENCH_DB_USER"),
        setting("BENCH_DB_NAME"),
    );
    let schema = Schema::build(Query, Mutation, EmptySubscription)
        .data(DataLoader::new(Users(database.clone()), tokio::spawn))
        .data(DataLoader::new(Tasks(database.clone()), tokio::spawn))
        .data(DataLoader::new(Comments(database.clone()), tokio::spawn))
        .data(database)
        .data(Creator(setting("BENCH_USER").parse().expect("a UUID")))
        .finish();
    let app = Router::new().route("/graphql", post_service(GraphQL::new(schema)));
    let listener = TcpListener::bind(format!("127.0.0.1:{}", setting("BENCH_PORT")))
        .await
        .expect("a free port");
    axum::serve(listener, app).await.expect("to serve");
}
