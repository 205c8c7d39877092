/**
 * For Relay:
 *
 *     new Environment({ network: taskloomNetwork(api), store: new Store(new RecordSource()) });
 */

import { type INetwork, Network, Observable, type RequestParameters } from "relay-runtime";

import type { Taskloom } from "../client.ts";
import type { Variables } from "../documents.ts";
import { observe } from "./observe.ts";

/** The network: it sends queries and mutations, and opens subscriptions. */
export function taskloomNetwork(api: Taskloom): INetwork {
  const run = ({ text }: RequestParameters, variables: Variables) =>
    Observable.create<any>((sink) => observe(api, text ?? "", variables, sink));
  return Network.create(run, run);
}
