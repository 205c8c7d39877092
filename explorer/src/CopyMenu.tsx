import { DropdownMenu, Tooltip } from "@graphiql/react";
import { useState } from "react";
import { asCurl, asFetch, asPython, type Source } from "./code";
import { Notice } from "./Notice";
import { useStore } from "./store";
import type { Transport } from "./transport";
import { useWritten } from "./written";

const LANGUAGES: readonly (readonly [string, (source: Source) => string])[] = [
  ["curl", asCurl],
  ["JavaScript (fetch)", asFetch],
  ["Python (gql)", asPython],
];
const LABEL = "Copy as code";

/** Copies the operation, its variables and headers as code; the token stays here. */
export function CopyMenu({ transport }: { transport: Transport }) {
  const written = useWritten();
  const { username } = useStore(transport.session);
  const [said, setSaid] = useState<string | null>(null);

  async function copy(language: string, code: (source: Source) => string) {
    if (written === null) return setSaid("Nothing was copied: the operation or its variables have a syntax error.");
    try {
      await navigator.clipboard.writeText(code({ ...written, url: transport.url, signedIn: username !== null }));
      setSaid(`Copied as ${language}, without your token.`);
    } catch {
      // Browsers allow it over HTTPS only, and on this machine itself.
      setSaid("The browser does not allow this page to copy.");
    }
  }

  return (
    <>
      <DropdownMenu modal={false}>
        <Tooltip label={LABEL}>
          <DropdownMenu.Button type="button" className="graphiql-toolbar-button" aria-label={LABEL}>
            <svg className="graphiql-toolbar-icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" aria-hidden="true">
              <path d="m8 6-6 6 6 6M16 6l6 6-6 6" strokeWidth="1.5" strokeLinecap="round" strokeLinejoin="round" />
            </svg>
          </DropdownMenu.Button>
        </Tooltip>
        <DropdownMenu.Content>
          {LANGUAGES.map(([language, code]) => (
            <DropdownMenu.Item key={language} onSelect={() => void copy(language, code)}>
              {language}
            </DropdownMenu.Item>
          ))}
        </DropdownMenu.Content>
      </DropdownMenu>
      {said !== null && <Notice onClose={() => setSaid(null)}>{said}</Notice>}
    </>
  );
}
