/** Sending a file to its URL, with progress. */

import { dataOf, problem } from "./errors.ts";
import { type Fetch, answerOf } from "./http.ts";

const CHUNK = 64 * 1024;

export interface UploadOptions {
  /** The file's name, if it is a `Blob`. */
  name?: string | undefined;
  signal?: AbortSignal | undefined;
  /** Called with the bytes sent so far, and all. */
  onProgress?: ((sent: number, size: number) => void) | undefined;
}

type Put = (url: string, file: Blob, options: UploadOptions, fetch: Fetch) => Promise<Response>;

/** Send a file. Throws `UnavailableError` if the connection is lost. */
export const send: Put = async (url, file, options, fetch) => {
  const { signal } = options;
  signal?.throwIfAborted();
  // Only XMLHttpRequest tells browsers how far an upload has come.
  const put = typeof XMLHttpRequest === "undefined" ? withFetch : withXhr;
  const response = await put(url, file, options, fetch).catch(() => {
    signal?.throwIfAborted();
    throw problem("UNAVAILABLE", "The connection was lost while the file was sent.");
  });
  if (!response.ok) dataOf(await answerOf(response));
  return response;
};

const withXhr: Put = (url, file, { signal, onProgress }) =>
  new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.upload.onprogress = ({ loaded }) => onProgress?.(loaded, file.size);
    request.onerror = request.onabort = reject;
    request.onload = () =>
      resolve(new Response(request.responseText || null, { status: request.status }));
    signal?.addEventListener("abort", () => request.abort());
    request.open("PUT", url);
    request.send(file);
  });

const withFetch: Put = (url, file, { signal = null, onProgress }, fetch) => {
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const chunk = await file.slice(sent, sent + CHUNK).arrayBuffer();
      controller.enqueue(new Uint8Array(chunk));
      sent += chunk.byteLength;
      onProgress?.(sent, file.size);
      if (sent >= file.size) controller.close();
    },
  });
  const headers = { "Content-Length": String(file.size) };
  return fetch(url, { method: "PUT", headers, body, duplex: "half", signal } as RequestInit);
};
