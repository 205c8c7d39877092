//! Relations: DataLoader collects the keys of a millisecond and reads them in one statement.
use std::collections::HashMap;

use async_graphql::Error;
use async_graphql::dataloader::Loader;
use uuid::Uuid;

use crate::database::Database;
use crate::schema::{Comment, Task, User};

/// The first objects of a parent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Page {
    pub parent: Uuid,
    pub first: i64,
}

fn parents_by_size(keys: &[Page]) -> HashMap<i64, Vec<Uuid>> {
    let mut parents: HashMap<i64, Vec<Uuid>> = HashMap::new();
    for key in keys {
        parents.entry(key.first).or_default().push(key.parent);
    }
    parents
}

pub struct Users(pub Database);

impl Loader<Uuid> for Users {
    type Value = User;
    type Error = Error;

    async fn load(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, User>, Error> {
        let found = self.0.users(ids).await?;
        Ok(found.into_iter().map(|user| (user.row_id, user)).collect())
    }
}

pub struct Tasks(pub Database);

impl Loader<Page> for Tasks {
    type Value = Vec<Task>;
    type Error = Error;

    async fn load(&self, keys: &[Page]) -> Result<HashMap<Page, Vec<Task>>, Error> {
        let mut pages: HashMap<Page, Vec<Task>> = HashMap::new();
        for (first, projects) in parents_by_size(keys) {
            for task in self.0.tasks_of(&projects, first).await? {
                let parent = task.project_id.unwrap_or_default();
                pages.entry(Page { parent, first }).or_default().push(task);
            }
        }
        Ok(pages)
    }
}

pub struct Comments(pub Database);

impl Loader<Page> for Comments {
    type Value = Vec<Comment>;
    type Error = Error;

    async fn load(&self, keys: &[Page]) -> Result<HashMap<Page, Vec<Comment>>, Error> {
        let mut pages: HashMap<Page, Vec<Comment>> = HashMap::new();
        for (first, tasks) in parents_by_size(keys) {
            for comment in self.0.comments_of(&tasks, first).await? {
                let parent = comment.task_id;
                pages
                    .entry(Page { parent, first })
                    .or_default()
                    .push(comment);
            }
        }
        Ok(pages)
    }
}
