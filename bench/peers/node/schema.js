// The schema of the servers written by hand.
import { GraphQLScalarType } from "graphql";
import * as database from "./database.js";

export const typeDefs = `
  scalar DateTime
  type User { id: ID! username: String! fullName: String }
  type Comment { id: ID! body: String! author: User! }
  type Task {
    id: ID! number: Int title: String! status: Int! priority: Int! tags: [String!]!
    position: String! dueAt: DateTime startAt: DateTime estimate: Int
    createdAt: DateTime! version: Int!
    assignee: User
    comments(first: Int!): [Comment!]!
  }
  type Project { id: ID! name: String! key: String! owner: User! tasks(first: Int!): [Task!]! }
  type Query {
    task(id: ID!): Task
    tasks(first: Int!): [Task!]!
    project(id: ID!): Project
    projects(first: Int!): [Project!]!
  }
  type Mutation { createTask(projectId: ID!, title: String!, priority: Int!): Task! }
`;

// Without relations: these are loaders, in each server's own way.
export const roots = {
  DateTime: new GraphQLScalarType({
    name: "DateTime",
    serialize: (value) => value.toISOString(),
  }),
  Query: {
    task: (_, { id }) => database.task(id),
    tasks: (_, { first }) => database.tasks(first),
    project: (_, { id }) => database.project(id),
    projects: (_, { first }) => database.projects(first),
  },
  Mutation: {
    createTask: (_, { projectId, title, priority }) =>
      database.createTask(projectId, title, priority),
  },
};
