/** Verifying what a webhook receives (Standard Webhooks). */

// In seconds: older requests may be repeated by somebody who has recorded them.
const TOLERANCE = 300;
const HMAC = { name: "HMAC", hash: "SHA-256" };

/** The request is not from Taskloom, or too old. Answer it with 400. */
export class WebhookError extends Error {
  override name = "WebhookError";
}

/**
 * The JSON of a request, if its signature is good for one of the secrets (`whsec_…`). `body` is the
 * body as it came. Use the header `webhook-id` to detect repeats. `now` is in seconds since 1970.
 */
export async function verifyWebhook<T = any>(
  secrets: string | readonly string[],
  headers: Headers | Readonly<Record<string, string | string[] | undefined>>,
  body: string | Uint8Array | ArrayBuffer,
  { now = Date.now() / 1000 }: { now?: number } = {},
): Promise<T> {
  const entries = headers instanceof Headers ? [...headers] : Object.entries(headers);
  const given = new Map(entries.map(([name, value]) => [name.toLowerCase(), String(value)]));
  const names = ["id", "timestamp", "signature"];
  const [id, at, signatures] = names.map((name) => given.get(`webhook-${name}`));
  if (!id || !/^\d+$/.test(at ?? "") || !signatures)
    throw new WebhookError("The headers of Standard Webhooks are missing.");
  if (Math.abs(now - Number(at)) > TOLERANCE)
    throw new WebhookError("The request is not of the last five minutes.");
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : new Uint8Array(body);
  const signed = await new Blob([`${id}.${at}.`, bytes]).arrayBuffer();
  for (const secret of [secrets].flat()) {
    const raw = decoded(secret.replace(/^whsec_/, ""))!;
    const key = await crypto.subtle.importKey("raw", raw, HMAC, false, ["verify"]);
    for (const signature of signatures.split(" ")) {
      const mac = signature.startsWith("v1,") && decoded(signature.slice(3));
      if (mac && (await crypto.subtle.verify("HMAC", key, mac, signed)))
        return JSON.parse(new TextDecoder().decode(bytes)) as T;
    }
  }
  throw new WebhookError("No signature matches.");
}

/** The bytes of a text in base64; null if it is none. */
function decoded(base64: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}
