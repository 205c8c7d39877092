import { tryParseJSONC, useGraphiQL } from "@graphiql/react";
import { parse, type OperationTypeNode } from "graphql";
import { useMemo } from "react";
import { operationOf, type Headers, type Operation } from "./graphql";

/** What is in the editors, as one operation. */
export interface Written {
  operation: Operation;
  kind: OperationTypeNode;
  /** Those of the Headers pane. */
  headers: Headers;
}

/** The operation of the open tab, a moment after it was typed; null if it cannot be sent like this. */
export function useWritten(): Written | null {
  const { query, variables, headers, operationName } = useGraphiQL((state) => {
    const tab = state.tabs[state.activeTabIndex];
    const { query, variables, headers } = tab ?? {};
    return { query, variables, headers, operationName: state.operationName };
  });
  return useMemo(
    () => read(query ?? "", variables ?? "", headers ?? "", operationName),
    [query, variables, headers, operationName],
  );
}

function read(query: string, variables: string, headers: string, name?: string): Written | null {
  try {
    const meant = operationOf(parse(query), name);
    if (meant === null) return null;
    return {
      operation: { query, variables: tryParseJSONC(variables), operationName: meant.name?.value },
      kind: meant.operation,
      headers: (tryParseJSONC(headers) ?? {}) as Headers,
    };
  } catch {
    // A syntax error, which the editor underlines.
    return null;
  }
}
