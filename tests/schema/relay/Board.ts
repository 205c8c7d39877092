// What a Relay application asks: pages of a connection, below a node and at the root, and fields
// that are null only with an error.
import { graphql } from "relay-runtime";

export const query = graphql`
  query BoardQuery($project: ID!) {
    viewer {
      user {
        ...Board_person
      }
    }
    project(id: $project) {
      name
      ...Board_tasks
    }
    ...Board_overdue
  }
`;

export const person = graphql`
  fragment Board_person on User {
    username
    fullName
  }
`;

export const tasks = graphql`
  fragment Board_tasks on Project
  @throwOnFieldError
  @refetchable(queryName: "BoardTasksPaginationQuery")
  @argumentDefinitions(
    count: { type: "Int", defaultValue: 50 }
    cursor: { type: "String" }
    filter: { type: "TaskFilter" }
  ) {
    tasks(first: $count, after: $cursor, filter: $filter, orderBy: [{ position: ASC }])
      @connection(key: "Board_tasks", filters: ["filter"]) {
      totalCount
      edges {
        node {
          ...Board_card
        }
      }
    }
  }
`;

export const overdue = graphql`
  fragment Board_overdue on Query
  @refetchable(queryName: "BoardOverduePaginationQuery")
  @argumentDefinitions(last: { type: "Int", defaultValue: 10 }, before: { type: "String" }) {
    tasks(last: $last, before: $before, filter: { isOverdue: true })
      @connection(key: "BoardOverdue_tasks") {
      edges {
        node {
          ...Board_card
        }
      }
    }
  }
`;

export const card = graphql`
  fragment Board_card on Task @refetchable(queryName: "BoardCardRefetchQuery") {
    title
    status
    dueAt
    version
    assignee {
      ...Board_person
    }
  }
`;
