// Relations through DataLoader, new for each request, as its documentation teaches.
import DataLoader from "dataloader";
import * as database from "./database.js";
import { roots } from "./schema.js";

export class Loaders {
  users = new DataLoader(database.users);
  #pages = new Map();

  // The pages of one size have a loader; a query seldom asks for two.
  tasks(first) {
    return this.#page(database.tasksOf, first);
  }

  comments(first) {
    return this.#page(database.commentsOf, first);
  }

  #page(load, first) {
    const key = `${load.name} ${first}`;
    let loader = this.#pages.get(key);
    if (loader === undefined) {
      loader = new DataLoader((ids) => load(ids, first));
      this.#pages.set(key, loader);
    }
    return loader;
  }
}

export const resolvers = {
  ...roots,
  Task: {
    assignee: (task, _, { loaders }) => task.assignee_id && loaders.users.load(task.assignee_id),
    comments: (task, { first }, { loaders }) => loaders.comments(first).load(task.id),
  },
  Comment: { author: (comment, _, { loaders }) => loaders.users.load(comment.author_id) },
  Project: {
    owner: (project, _, { loaders }) => loaders.users.load(project.owner_id),
    tasks: (project, { first }, { loaders }) => loaders.tasks(first).load(project.id),
  },
};
