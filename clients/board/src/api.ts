/** The connection to the server, and whether somebody is signed in. */

import { Taskloom, browserStorage } from "@taskloom/client";
import { useEffect, useState } from "react";
import { Store } from "./store.ts";

/** Where the server is: the page is at `/board/`, perhaps below a path that a proxy adds. */
export const SERVER = new URL("..", document.baseURI).href.replace(/\/$/, "");

export const api = new Taskloom({ url: SERVER, storage: browserStorage("taskloom-board") });

/** Whether live updates arrive. */
export const connected = new Store(true);

/** Whether there is a session, here or in another tab; null until that is known. */
export interface SignedIn {
  signedIn: boolean | null;
  /** Counts sign-ins: in another tab somebody else may have signed in. */
  number: number;
}

export function useSignedIn(): SignedIn {
  const [state, setState] = useState<SignedIn>({ signedIn: null, number: 0 });
  useEffect(() => {
    const set = (signedIn: boolean) =>
      setState(({ number }) => ({ signedIn, number: signedIn ? number + 1 : number }));
    void api.isSignedIn().then(set);
    return api.onSession(set);
  }, []);
  return state;
}
