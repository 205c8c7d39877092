import { useGraphiQL, useMonaco } from "@graphiql/react";
import { useEffect } from "react";

/** Where the guide explains an error code. */
export function docsOf(code: string): string {
  return new URL(`docs/errors#${code}`, document.baseURI).href;
}

/** Makes links of the error codes in the answer itself. */
export function useCodeLinks(): void {
  const monaco = useMonaco((state) => state.monaco);
  const answer = useGraphiQL((state) => state.responseEditor?.getModel());
  useEffect(() => {
    if (monaco === undefined || answer == null) return;
    const provider = monaco.languages.registerLinkProvider(answer.getLanguageId(), {
      provideLinks(model) {
        const found = model === answer ? model.findMatches('(?<="code": ")[A-Z_]+(?=")', false, true, true, null, true) : [];
        const links = found.map(({ range, matches }) => ({ range, url: docsOf(matches?.[0] ?? "") }));
        return { links };
      },
    });
    return () => provider.dispose();
  }, [monaco, answer]);
}
