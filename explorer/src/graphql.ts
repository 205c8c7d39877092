import { getOperationAST, type DocumentNode, type ExecutionResult, type OperationDefinitionNode } from "graphql";

/** One operation, as it goes over the wire. */
export interface Operation {
  query: string;
  operationName?: string | null | undefined;
  variables?: Record<string, unknown> | null | undefined;
  extensions?: Record<string, unknown> | undefined;
}

export type Headers = Record<string, string>;

/** Nobody answered: the server is down, or the network between is. */
export class Unreachable extends Error {}

/**
 * Sends one operation by POST and gives the server's answer, whatever its HTTP status: a refused
 * operation is an answer too, and its `errors` say why.
 */
export async function post(
  url: string,
  operation: Operation,
  headers: Headers,
  signal?: AbortSignal,
): Promise<ExecutionResult> {
  let response: Response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: {
        Accept: "application/graphql-response+json, application/json",
        "Content-Type": "application/json",
        ...headers,
      },
      body: JSON.stringify(operation),
      ...(signal && { signal }),
    });
  } catch {
    throw new Unreachable("The server cannot be reached. Is it still running?");
  }
  try {
    return (await response.json()) as ExecutionResult;
  } catch {
    // A proxy in between speaks HTML; its status is all that is worth showing.
    throw new Error(`HTTP ${response.status} ${response.statusText}, and the body is not JSON.`.trim());
  }
}

/** Whether the answer says that the token sent with the request is not (or no longer) good. */
export function isUnauthenticated(result: ExecutionResult): boolean {
  return result.errors?.some((error) => error.extensions?.["code"] === "UNAUTHENTICATED") ?? false;
}

/** The errors of an answer in words for a person. */
export function describe(errors: NonNullable<ExecutionResult["errors"]>): string {
  return errors
    .map(({ message, extensions }) => {
      const wait = extensions?.["retryAfter"];
      return typeof wait === "number" ? `${message} (Try again in ${Math.ceil(wait)} s.)` : message;
    })
    .join(" ");
}

/**
 * The operation of a document that is meant. GraphiQL learns the name a moment after a tab was
 * opened, and until then gives that of the tab before: a name that the document does not have is
 * ignored.
 */
export function operationOf(document: DocumentNode, name?: string | null): OperationDefinitionNode | null {
  return getOperationAST(document, name) ?? getOperationAST(document) ?? null;
}

export function ownAuthorization(headers: Headers): string | null {
  return Object.entries(headers).find(([name]) => name.toLowerCase() === "authorization")?.[1] ?? null;
}
