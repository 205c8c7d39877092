/** Verifying what a webhook receives (Standard Webhooks). */

// In seconds: older requests may be repeated by somebody who has recorded them.
const TOLERANCE = 300;

/** The request is not from Taskloom, or too old. Answer it with 400. */
export class WebhookError extends Error {
  override readonly name = "WebhookError";
}

type Headers_ = Headers | Readonly<Record<string, string | string[] | undefined>>;

/**
 * The JSON of a request, if its signature is good for one of the secrets (`whsec_…`). `body` is the
 * body as it came. Use the header `webhook-id` to detect repeats. `now` is in seconds since 1970.
 */
export async function verifyWebhook<T = any>(
  secrets: string | readonly string[],
  headers: Headers_,
  body: string | Uint8Array | ArrayBuffer,
  { now = Date.now() / 1000 }: { now?: number } = {},
): Promise<T> {
  const id = header(headers, "webhook-id");
  const at = header(headers, "webhook-timestamp");
  const signatures = header(headers, "webhook-signature");
  if (!id || !/^\d+$/.test(at) || !signatures)
    throw new WebhookError("The headers of Standard Webhooks are missing.");
  if (Math.abs(now - Number(at)) > TOLERANCE)
    throw new WebhookError("The request is not of the last five minutes.");
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : new Uint8Array(body);
  const start = new TextEncoder().encode(`${id}.${at}.`);
  const signed = new Uint8Array(start.length + bytes.length);
  signed.set(start);
  signed.set(bytes, start.length);
  for (const secret of typeof secrets === "string" ? [secrets] : secrets) {
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const raw = decoded(secret.replace(/^whsec_/, ""));
    const key = await crypto.subtle.importKey("raw", raw, algorithm, false, ["verify"]);
    for (const signature of signatures.split(" "))
      if (signature.startsWith("v1,") && (await matches(key, signature.slice(3), signed)))
        return JSON.parse(new TextDecoder().decode(bytes)) as T;
  }
  throw new WebhookError("No signature matches.");
}

async function matches(key: CryptoKey, signature: string, signed: BufferSource): Promise<boolean> {
  try {
    return await crypto.subtle.verify("HMAC", key, decoded(signature), signed);
  } catch {
    return false; // Not base64.
  }
}

function decoded(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

function header(headers: Headers_, name: string): string {
  if (headers instanceof Headers) return headers.get(name) ?? "";
  const found = Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];
  return (Array.isArray(found) ? found[0] : found) ?? "";
}
