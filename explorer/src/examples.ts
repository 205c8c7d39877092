/**
 * The operations that the explorer opens with. Each is a file of its own in `examples/`, which the
 * tests run against the server, so that none of them can fall behind the schema.
 */
import board from "../examples/1-board.graphql?raw";
import openTasks from "../examples/2-open-tasks.graphql?raw";
import createTask from "../examples/3-create-task.graphql?raw";
import createTaskVariables from "../examples/3-create-task.json?raw";
import watchTasks from "../examples/4-watch-tasks.graphql?raw";
import watchTasksVariables from "../examples/4-watch-tasks.json?raw";

export interface Example {
  title: string;
  about: string;
  query: string;
  variables: string | null;
}

export const EXAMPLES: readonly Example[] = [
  {
    title: "A board in one request",
    about: "You, your projects, and the tasks of each with the people on them.",
    query: board,
    variables: null,
  },
  {
    title: "Filter, sort and page",
    about: "The open tasks that matter most, by due date, page by page.",
    query: openTasks,
    variables: null,
  },
  {
    title: "Create a task",
    about: "A mutation that may be sent twice and still creates one task.",
    query: createTask,
    variables: createTaskVariables,
  },
  {
    title: "Watch tasks live",
    about: "A subscription that can resume where it was cut off.",
    query: watchTasks,
    variables: watchTasksVariables,
  },
];
