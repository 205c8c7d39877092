// Mutations whose payload updates the store and its connections, and a subscription.
import { graphql } from "relay-runtime";

export const create = graphql`
  mutation ChangesCreateMutation($input: TaskCreateInput!, $connections: [ID!]!) {
    taskCreate(input: $input) {
      task @prependNode(connections: $connections, edgeTypeName: "TaskEdge") {
        ...Board_card
      }
      errors {
        code
        path
        message
      }
    }
  }
`;

export const remove = graphql`
  mutation ChangesDeleteMutation($input: CommentDeleteInput!, $connections: [ID!]!) {
    commentDelete(input: $input) {
      deletedId @deleteRecord @deleteEdge(connections: $connections)
      errors {
        code
      }
    }
  }
`;

export const removeTask = graphql`
  mutation ChangesDeleteTaskMutation($input: TaskDeleteInput!, $connections: [ID!]!) {
    taskDelete(input: $input) {
      deletedIds @deleteRecord @deleteEdge(connections: $connections)
      errors {
        code
      }
    }
  }
`;

export const events = graphql`
  subscription ChangesEventsSubscription($filter: EventFilter, $after: String) {
    taskEvents(filter: $filter, after: $after) {
      cursor
      kind
      matches
      task {
        ...Board_card
      }
    }
  }
`;
