/** One subscription, in every way that the client has: each yields the titles that it has seen. */

import { ApolloClient, InMemoryCache, gql } from "@apollo/client";
import { Taskloom } from "@taskloom/client";
import { taskloomLink } from "@taskloom/client/apollo";
import { taskloomNetwork } from "@taskloom/client/relay";
import { taskloomExchange } from "@taskloom/client/urql";
import { Client, cacheExchange } from "@urql/core";
import relay from "relay-runtime";
import type { ConcreteRequest } from "relay-runtime";

import { CreateDocument, EventsDocument, TasksDocument } from "./generated/graphql.ts";

type Seen = (event: any) => void;
type Failed = (error: any) => void;
/** Starts listening. */
export type Listen = (api: Taskloom, after: string, seen: Seen, failed: Failed) => void;

const TEXT = EventsDocument.toString();

export const listeners: Record<string, Listen> = {
  websocket: (api, after, seen, failed) => void core(api, after, seen, failed, "websocket"),
  sse: (api, after, seen, failed) => void core(api, after, seen, failed, "sse"),

  /** Without a cursor: what happens during an interruption is not delivered. */
  async plain(api, _, seen, failed) {
    const query = "subscription { taskEvents { kind task { title } } }";
    try {
      for await (const event of api.live(query)) seen(event);
    } catch (error) {
      failed(error);
    }
  },

  apollo(api, after, seen, failed) {
    const client = new ApolloClient({ link: taskloomLink(api), cache: new InMemoryCache() });
    client
      .subscribe<any>({ query: gql(TEXT), variables: { after } })
      .subscribe(({ data, error }) => (error ? failed(error) : seen(data.taskEvents)));
  },

  urql(api, after, seen, failed) {
    const client = new Client({ url: "-", exchanges: [cacheExchange, taskloomExchange(api)] });
    client
      .subscription(TEXT, { after })
      .subscribe(({ data, error }) => (error ? failed(error.networkError) : seen(data!.taskEvents)));
  },

  relay(api, after, seen, failed) {
    relay.requestSubscription(relayEnvironment(api), {
      subscription: SUBSCRIPTION,
      variables: { after },
      onNext: (data: any) => seen(data.taskEvents),
      onError: failed,
    });
  },
};

async function core(
  api: Taskloom,
  after: string,
  seen: Seen,
  failed: Failed,
  transport: "websocket" | "sse",
): Promise<void> {
  try {
    for await (const event of api.live(EventsDocument, { after }, { transport })) seen(event);
  } catch (error) {
    failed(error);
  }
}

/** A query and a mutation with each library, whose cache then has the new task. */
export async function throughLibraries(api: Taskloom): Promise<Record<string, unknown>> {
  const variables = { input: { title: "new" } };
  const apollo = new ApolloClient({ link: taskloomLink(api), cache: new InMemoryCache() });
  const [create, list] = [gql(CreateDocument.toString()), gql(TasksDocument.toString())];
  const made = await apollo.mutate<any>({ mutation: create, variables });
  const read = await apollo.query<any>({ query: list, variables: { first: 1 } });
  const refused = await apollo
    .mutate<any>({ mutation: create, variables: { input: { title: 1 } } })
    .catch((error) => error);

  const urql = new Client({ url: "-", exchanges: [cacheExchange, taskloomExchange(api)] });
  const madeByUrql = await urql.mutation<any>(CreateDocument.toString(), variables);
  const readByUrql = await urql.query<any>(TasksDocument.toString(), { first: 2 });
  const refusedByUrql = await urql.mutation<any>(CreateDocument.toString(), { input: {} });

  const environment = relayEnvironment(api);
  const readByRelay: any = await relay.fetchQuery(environment, QUERY, {}).toPromise();
  return {
    apollo: [made.data.taskCreate.task.title, read.data.tasks.nodes.length, refused.name],
    urql: [
      madeByUrql.data.taskCreate.task.title,
      readByUrql.data.tasks.nodes.length,
      refusedByUrql.error?.graphQLErrors.length,
    ],
    relay: readByRelay.viewer.user.username,
  };
}

function relayEnvironment(api: Taskloom): InstanceType<typeof relay.Environment> {
  const store = new relay.Store(new relay.RecordSource());
  return new relay.Environment({ network: taskloomNetwork(api), store });
}

// What relay-compiler makes of these documents.

const scalar = (name: string) => ({ alias: null, args: null, kind: "ScalarField", name, storageKey: null });
const linked = (name: string, concreteType: string, selections: any[], args: any = null) => ({
  ...{ alias: null, args, concreteType, kind: "LinkedField", name, plural: false, selections },
  storageKey: null,
});

function request(name: string, kind: string, text: string, type: string, selections: any[]): ConcreteRequest {
  const argumentDefinitions =
    kind === "subscription" ? [{ defaultValue: null, kind: "LocalArgument", name: "after" }] : [];
  const common = { argumentDefinitions, name, selections };
  return {
    fragment: { ...common, kind: "Fragment", metadata: null, type, abstractKey: null },
    kind: "Request",
    operation: { ...common, kind: "Operation" },
    params: { cacheID: name, id: null, metadata: {}, name, operationKind: kind, text },
  } as unknown as ConcreteRequest;
}

const SUBSCRIPTION = request(
  "Titles",
  "subscription",
  "subscription Titles($after: String) { taskEvents(after: $after) { id cursor kind task { id title } } }",
  "Subscription",
  [
    linked(
      "taskEvents",
      "Event",
      [scalar("id"), scalar("cursor"), scalar("kind"), linked("task", "Task", [scalar("id"), scalar("title")])],
      [{ kind: "Variable", name: "after", variableName: "after" }],
    ),
  ],
);
const QUERY = request("Me", "query", "query Me { viewer { user { id username } } }", "Query", [
  linked("viewer", "Viewer", [linked("user", "User", [scalar("id"), scalar("username")])]),
]);
