//! The types, filled from rows, and the resolvers of their relations.
use async_graphql::dataloader::DataLoader;
use async_graphql::{ComplexObject, Context, Error, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::database::Database;
use crate::loaders::{Comments, Page, Tasks, Users};

/// Who creates tasks.
pub struct Creator(pub Uuid);

#[derive(SimpleObject, Clone)]
pub struct User {
    #[graphql(skip)]
    pub row_id: Uuid,
    id: ID,
    username: String,
    full_name: Option<String>,
}

impl From<Row> for User {
    fn from(row: Row) -> Self {
        let row_id: Uuid = row.get(0);
        Self {
            row_id,
            id: row_id.into(),
            username: row.get(1),
            full_name: row.get(2),
        }
    }
}

#[derive(SimpleObject, Clone)]
#[graphql(complex)]
pub struct Comment {
    id: ID,
    body: String,
    #[graphql(skip)]
    author_id: Uuid,
    #[graphql(skip)]
    pub task_id: Uuid,
}

impl From<Row> for Comment {
    fn from(row: Row) -> Self {
        Self {
            id: row.get::<_, Uuid>(0).into(),
            body: row.get(1),
            author_id: row.get(2),
            task_id: row.get(3),
        }
    }
}

#[derive(SimpleObject, Clone)]
#[graphql(complex)]
pub struct Task {
    #[graphql(skip)]
    row_id: Uuid,
    id: ID,
    number: Option<i32>,
    title: String,
    status: i16,
    priority: i16,
    tags: Vec<String>,
    position: String,
    due_at: Option<DateTime<Utc>>,
    start_at: Option<DateTime<Utc>>,
    estimate: Option<i32>,
    created_at: DateTime<Utc>,
    version: i32,
    #[graphql(skip)]
    assignee_id: Option<Uuid>,
    #[graphql(skip)]
    pub project_id: Option<Uuid>,
}

impl From<Row> for Task {
    fn from(row: Row) -> Self {
        let row_id: Uuid = row.get(0);
        Self {
            row_id,
            id: row_id.into(),
            number: row.get(1),
            title: row.get(2),
            status: row.get(3),
            priority: row.get(4),
            tags: row.get(5),
            position: row.get(6),
            due_at: row.get(7),
            start_at: row.get(8),
            estimate: row.get(9),
            created_at: row.get(10),
            version: row.get(11),
            assignee_id: row.get(12),
            project_id: row.get(13),
        }
    }
}

#[derive(SimpleObject, Clone)]
#[graphql(complex)]
pub struct Project {
    #[graphql(skip)]
    row_id: Uuid,
    id: ID,
    name: String,
    key: String,
    #[graphql(skip)]
    owner_id: Uuid,
}

impl From<Row> for Project {
    fn from(row: Row) -> Self {
        let row_id: Uuid = row.get(0);
        Self {
            row_id,
            id: row_id.into(),
            name: row.get(1),
            key: row.get(2),
            owner_id: row.get(3),
        }
    }
}

async fn user(context: &Context<'_>, id: Uuid) -> Result<User> {
    let found = context.data::<DataLoader<Users>>()?.load_one(id).await?;
    found.ok_or_else(|| Error::new("There is no such user."))
}

#[ComplexObject]
impl Comment {
    async fn author(&self, context: &Context<'_>) -> Result<User> {
        user(context, self.author_id).await
    }
}

#[ComplexObject]
impl Task {
    async fn assignee(&self, context: &Context<'_>) -> Result<Option<User>> {
        match self.assignee_id {
            Some(id) => user(context, id).await.map(Some),
            None => Ok(None),
        }
    }

    async fn comments(&self, context: &Context<'_>, first: i64) -> Result<Vec<Comment>> {
        let page = Page {
            parent: self.row_id,
            first,
        };
        let found = context
            .data::<DataLoader<Comments>>()?
            .load_one(page)
            .await?;
        Ok(found.unwrap_or_default())
    }
}

#[ComplexObject]
impl Project {
    async fn owner(&self, context: &Context<'_>) -> Result<User> {
        user(context, self.owner_id).await
    }

    async fn tasks(&self, context: &Context<'_>, first: i64) -> Result<Vec<Task>> {
        let page = Page {
            parent: self.row_id,
            first,
        };
        let found = context.data::<DataLoader<Tasks>>()?.load_one(page).await?;
        Ok(found.unwrap_or_default())
    }
}

pub struct Query;

#[Object]
impl Query {
    async fn task(&self, context: &Context<'_>, id: ID) -> Result<Option<Task>> {
        context.data::<Database>()?.task(id.parse()?).await
    }

    async fn tasks(&self, context: &Context<'_>, first: i64) -> Result<Vec<Task>> {
        context.data::<Database>()?.tasks(first).await
    }

    async fn project(&self, context: &Context<'_>, id: ID) -> Result<Option<Project>> {
        context.data::<Database>()?.project(id.parse()?).await
    }

    async fn projects(&self, context: &Context<'_>, first: i64) -> Result<Vec<Project>> {
        context.data::<Database>()?.projects(first).await
    }
}

pub struct Mutation;

#[Object]
impl Mutation {
    async fn create_task(
        &self,
        context: &Context<'_>,
        project_id: ID,
        title: String,
        priority: i16,
    ) -> Result<Task> {
        let Creator(owner_id) = context.data()?;
        let database = context.data::<Database>()?;
        database
            .create_task(project_id.parse()?, &title, priority, *owner_id)
            .await
    }
}
