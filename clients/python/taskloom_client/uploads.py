"""Uploading a file in three steps, with progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx

from taskloom_client.errors import error_of, problems_of
from taskloom_client.protocol import answer_of

START = (
    "mutation ($input: AttachmentUploadStartInput!) { attachmentUploadStart(input: $input) "
    "{ upload { id url } errors { code path message } } }"
)
FINISH = (
    "mutation ($input: AttachmentUploadFinishInput!) { attachmentUploadFinish(input: $input) "
    "{ attachment { id filename byteSize downloadUrl } errors { code path message } } }"
)
_CHUNK = 64 * 1024


def start(task: str, filename: str, size: int) -> dict[str, Any]:
    """The input of `START`. `size` is in bytes."""
    return {"taskId": task, "filename": filename, "byteSize": size}


def chunks(content: bytes, progress: Callable[[int, int], None] | None) -> Iterator[bytes]:
    """The content in parts, and the progress after each."""
    for first in range(0, len(content), _CHUNK):
        part = content[first : first + _CHUNK]
        yield part
        if progress is not None:
            progress(first + len(part), len(content))


def demand_sent(response: httpx.Response | None) -> None:
    """Raise if the server did not take the file, or the connection was lost (None)."""
    if response is None or response.status_code != httpx.codes.NO_CONTENT:
        raise error_of(problems_of(answer_of(response)))
