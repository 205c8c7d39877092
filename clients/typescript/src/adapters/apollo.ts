/**
 * For Apollo Client 4:
 *
 *     new ApolloClient({ link: taskloomLink(api), cache: new InMemoryCache() });
 */

import { ApolloLink, Observable } from "@apollo/client";
import { print } from "graphql";

import type { Taskloom } from "../client.ts";
import { observe } from "./observe.ts";

/** The last link: it sends queries and mutations, and opens subscriptions. */
export function taskloomLink(api: Taskloom): ApolloLink {
  return new ApolloLink(
    ({ query, variables }) =>
      new Observable((observer) => observe(api, print(query), variables, observer)),
  );
}
