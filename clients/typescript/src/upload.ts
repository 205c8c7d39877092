/** Uploading a file in three steps, with progress. */

import { TaskloomError, errorOf, problem, problemsOf } from "./errors.ts";
import { type Fetch, answerOf } from "./http.ts";
import { pause, wait } from "./waiting.ts";

const ATTEMPTS = 4;
const CHUNK = 64 * 1024;

export interface UploadOptions {
  /** The file's name, if it is a `Blob`. */
  name?: string | undefined;
  signal?: AbortSignal | undefined;
  /** Called with the bytes sent so far, and all. */
  onProgress?: ((sent: number, size: number) => void) | undefined;
}

/** Send a file to its URL, again from the start if the connection is lost. */
export async function send(
  fetch: Fetch,
  url: string,
  file: Blob,
  { signal, onProgress = () => {} }: UploadOptions,
): Promise<void> {
  const put = typeof XMLHttpRequest === "undefined" ? withFetch : withXhr;
  for (let attempt = 1; ; attempt += 1) {
    signal?.throwIfAborted();
    try {
      const response = await put(fetch, url, file, signal, onProgress);
      if (response.ok) return;
      throw errorOf(problemsOf(await answerOf(response)));
    } catch (error) {
      signal?.throwIfAborted();
      const passes = !(error instanceof TaskloomError) || error.code === "UNAVAILABLE";
      if (!passes) throw error;
      if (attempt === ATTEMPTS) throw problem("UNAVAILABLE", "The file could not be sent.");
      await wait(pause(attempt), signal);
    }
  }
}

type Progress = (sent: number, size: number) => void;

/** Only XMLHttpRequest tells browsers how far an upload has come. */
function withXhr(
  _: Fetch,
  url: string,
  file: Blob,
  signal: AbortSignal | undefined,
  progress: Progress,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    signal?.addEventListener("abort", abort);
    request.upload.onprogress = ({ loaded }) => progress(loaded, file.size);
    request.onerror = request.onabort = () => reject(new TypeError("The connection was lost."));
    request.onload = () => {
      const body = request.status === 204 ? null : request.responseText;
      resolve(new Response(body, { status: request.status }));
    };
    request.onloadend = () => signal?.removeEventListener("abort", abort);
    request.open("PUT", url);
    request.send(file);
  });
}

/** A stream tells how much of it has been read. */
function withFetch(
  fetch: Fetch,
  url: string,
  file: Blob,
  signal: AbortSignal | undefined,
  progress: Progress,
): Promise<Response> {
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const chunk = await file.slice(sent, sent + CHUNK).arrayBuffer();
      controller.enqueue(new Uint8Array(chunk));
      sent += chunk.byteLength;
      progress(sent, file.size);
      if (sent >= file.size) controller.close();
    },
  });
  const headers = { "Content-Length": String(file.size) };
  const options = { method: "PUT", headers, body, duplex: "half", ...(signal && { signal }) };
  return fetch(url, options as RequestInit);
}
