/**
 * For urql:
 *
 *     new Client({ url: "-", exchanges: [cacheExchange, taskloomExchange(api)] });
 */

import { type Exchange, subscriptionExchange } from "@urql/core";

import type { Taskloom } from "../client.ts";
import type { Variables } from "../documents.ts";
import { observe } from "./observe.ts";

/** The last exchange: it sends queries and mutations, and opens subscriptions. */
export function taskloomExchange(api: Taskloom): Exchange {
  return subscriptionExchange({
    enableAllOperations: true,
    forwardSubscription: ({ query, variables }) => ({
      subscribe: (sink) => ({
        unsubscribe: observe(api, query ?? "", (variables ?? {}) as Variables, sink),
      }),
    }),
  });
}
