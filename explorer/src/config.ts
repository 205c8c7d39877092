/** What the server tells the page about itself: `GET /explorer/config.json`. */
export interface ExplorerConfig {
  name: string;
  version: string;
  environment: string;
  /** Somebody to sign in as with one click; only a development server has one. */
  demo: { login: string; password: string } | null;
  /** Where the API is, relative to this page. */
  endpoint: string;
  /** The most points that one operation may cost. */
  points: number;
}

export async function loadConfig(): Promise<ExplorerConfig> {
  const response = await fetch("explorer/config.json", { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(`The server answered ${response.status} for its configuration.`);
  return (await response.json()) as ExplorerConfig;
}
