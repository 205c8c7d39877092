//! The statements: one for all parents of a relation, prepared once for each connection.
use async_graphql::Error;
use deadpool_postgres::{Manager, Pool};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, NoTls, Row};
use uuid::Uuid;

use crate::schema::{Comment, Project, Task, User};

const TASK: &str = "t.id, t.number, t.title, t.status, t.priority, t.tags, t.position, t.due_at, \
    t.start_at, t.estimate, t.created_at, t.version, t.assignee_id, t.project_id";

#[derive(Clone)]
pub struct Database(Pool);

impl Database {
    pub fn open(host: String, user: String, name: String) -> Self {
        let mut config = Config::new();
        config.host_path(host).user(user).dbname(name);
        let pool = Pool::builder(Manager::new(config, NoTls)).max_size(10);
        Self(pool.build().expect("a pool"))
    }

    async fn rows<T: From<Row>>(
        &self,
        text: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<T>, Error> {
        let connection = self.0.get().await?;
        let statement = connection.prepare_cached(text).await?;
        let rows = connection.query(&statement, values).await?;
        Ok(rows.into_iter().map(T::from).collect())
    }

    pub async fn task(&self, id: Uuid) -> Result<Option<Task>, Error> {
        let text = format!("SELECT {TASK} FROM tasks t WHERE id = $1");
        Ok(self.rows(&text, &[&id]).await?.pop())
    }

    pub async fn tasks(&self, first: i64) -> Result<Vec<Task>, Error> {
        let order = "created_at DESC, id DESC";
        let text = format!("SELECT {TASK} FROM tasks t ORDER BY {order} LIMIT $1");
        self.rows(&text, &[&first]).await
    }

    pub async fn project(&self, id: Uuid) -> Result<Option<Project>, Error> {
        let text = "SELECT id, name, key, owner_id FROM projects WHERE id = $1";
        Ok(self.rows(text, &[&id]).await?.pop())
    }

    pub async fn projects(&self, first: i64) -> Result<Vec<Project>, Error> {
        let text = "SELECT id, name, key, owner_id FROM projects \
            ORDER BY created_at DESC, id DESC LIMIT $1";
        self.rows(text, &[&first]).await
    }

    pub async fn users(&self, ids: &[Uuid]) -> Result<Vec<User>, Error> {
        let text = "SELECT id, username, full_name FROM users WHERE id = ANY($1)";
        self.rows(text, &[&ids]).await
    }

    pub async fn tasks_of(&self, projects: &[Uuid], first: i64) -> Result<Vec<Task>, Error> {
        let text = format!(
            "SELECT t.* FROM unnest($1::uuid[]) AS parent(id) CROSS JOIN LATERAL ( \
                SELECT {TASK} FROM tasks t WHERE project_id = parent.id \
                ORDER BY position, id LIMIT $2 \
            ) t"
        );
        self.rows(&text, &[&projects, &first]).await
    }

    pub async fn comments_of(&self, tasks: &[Uuid], first: i64) -> Result<Vec<Comment>, Error> {
        let text = "SELECT c.* FROM unnest($1::uuid[]) AS parent(id) CROSS JOIN LATERAL ( \
                SELECT id, body, author_id, task_id FROM comments WHERE task_id = parent.id \
                ORDER BY created_at, id LIMIT $2 \
            ) c";
        self.rows(text, &[&tasks, &first]).await
    }

    pub async fn create_task(
        &self,
        project_id: Uuid,
        title: &str,
        priority: i16,
        owner_id: Uuid,
    ) -> Result<Task, Error> {
        let text = format!(
            "WITH numbered AS ( \
                UPDATE projects SET last_number = last_number + 1 WHERE id = $2 \
                RETURNING last_number \
            ) \
            INSERT INTO tasks AS t (id, project_id, number, title, status, priority, position, \
                owner_id, created_at, updated_at, version) \
            SELECT $1, $2, last_number, $3, 10, $4, 'i0000000', $5, now(), now(), 1 FROM numbered \
            RETURNING {TASK}"
        );
        let id = Uuid::new_v4();
        let made = self
            .rows(&text, &[&id, &project_id, &title, &priority, &owner_id])
            .await?
            .pop();
        made.ok_or_else(|| Error::new("There is no such project."))
    }
}
