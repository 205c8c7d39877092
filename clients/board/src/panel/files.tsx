/** Files of a task, and uploading one with its progress. */

import { type MouseEvent, useEffect, useRef, useState } from "react";
import { api } from "../api.ts";
import { DownloadDocument } from "../generated/graphql.ts";
import { Icon } from "../parts/icons.tsx";
import { failed } from "../parts/messages.tsx";
import { type Details, Part } from "./panel.tsx";

const SIZE = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

interface Sending {
  name: string;
  share: number;
  stop: AbortController;
}

export function Files({ task, reload }: { task: Details; reload: () => void }) {
  const [sending, setSending] = useState<Sending | null>(null);
  const input = useRef<HTMLInputElement>(null);
  const current = useRef<AbortController | null>(null);
  // Uploads end when the task is closed.
  useEffect(() => () => current.current?.abort(), []);

  async function send(file: File) {
    const stop = (current.current = new AbortController());
    const show = (share: number) => setSending({ name: file.name, share, stop });
    show(0);
    try {
      const onProgress = (sent: number, size: number) => show(sent / size);
      await api.upload(task.id, file, { signal: stop.signal, onProgress });
      reload();
    } catch (error) {
      if (!stop.signal.aborted) failed(error);
    }
    setSending(null);
  }

  return (
    <Part title="Files">
      <ul className="files">
        {task.attachments.nodes.map(({ id, filename, byteSize, downloadUrl }) => (
          <li key={id}>
            <Icon name="file" />
            <a href={downloadUrl} onClick={(event) => void download(event, id)}>
              {filename}
            </a>
            <span className="quiet">{sizeOf(byteSize)}</span>
          </li>
        ))}
        {sending && (
          <li>
            <Icon name="file" />
            <span>{sending.name}</span>
            <progress aria-label={`Uploading ${sending.name}`} value={sending.share} />
            <button type="button" onClick={() => sending.stop.abort()}>
              Cancel
            </button>
          </li>
        )}
      </ul>
      {task.attachments.pageInfo.hasNextPage && (
        <p className="quiet">Older files are not shown here.</p>
      )}
      {task.viewerCanEdit && !sending && (
        <>
          <input
            ref={input}
            type="file"
            hidden
            onChange={(event) => {
              const file = event.target.files?.[0];
              event.target.value = "";
              if (file) void send(file);
            }}
          />
          <button type="button" onClick={() => input.current?.click()}>
            Attach a file
          </button>
        </>
      )}
    </Part>
  );
}

/** The address of a file is good for minutes, and the panel may be open for hours. */
async function download(event: MouseEvent, id: string): Promise<void> {
  event.preventDefault();
  try {
    const { node } = await api.request(DownloadDocument, { id }, { attempts: 2 });
    // It is sent as a download, so the page stays.
    if (node?.__typename === "Attachment") location.assign(node.downloadUrl);
  } catch (error) {
    failed(error);
  }
}

function sizeOf(bytes: number): string {
  if (bytes < 1e3) return `${bytes} B`;
  return bytes < 1e6 ? `${SIZE.format(bytes / 1e3)} kB` : `${SIZE.format(bytes / 1e6)} MB`;
}
