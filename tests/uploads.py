"""Small files of every kind, and helpers that upload them as a client does."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from typing import Any

import httpx
from PIL import Image

from tests.accounts import Person
from tests.factories import Reply

PREFLIGHT = {"Apollo-Require-Preflight": "1"}

UPLOAD = """
mutation ($input: AttachmentUploadInput!) {
  attachmentUpload(input: $input) {
    attachment { id filename contentType byteSize sha256 downloadUrl thumbnailUrl
      uploader { id } task { id } }
    errors { code path message }
    replayed
  }
}
"""
START = """
mutation ($input: AttachmentUploadStartInput!) {
  attachmentUploadStart(input: $input) {
    upload { id url expiresAt } errors { code path message } replayed
  }
}
"""
FINISH = """
mutation ($input: AttachmentUploadFinishInput!) {
  attachmentUploadFinish(input: $input) {
    attachment { id filename contentType byteSize sha256 downloadUrl thumbnailUrl }
    errors { code path message }
  }
}
"""
DELETE = """
mutation ($input: AttachmentDeleteInput!) {
  attachmentDelete(input: $input) { deletedId task { id } errors { code path message } }
}
"""
AVATAR = """
mutation ($input: AvatarUploadInput!) {
  avatarUpload(input: $input) { viewer { user { id avatarUrl } } errors { code path message } }
}
"""


def image(format_: str = "PNG", size: tuple[int, int] = (40, 20), color: str = "navy") -> bytes:
    """An image in one color."""
    target = io.BytesIO()
    Image.new("RGB", size, color).save(target, format_)
    return target.getvalue()


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of a few kilobytes that declares 3.6 billion pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        sum_ = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", sum_)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1_000_000))
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def package(*members: str) -> bytes:
    """A ZIP file with these members."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        for member in members:
            made.writestr(member, "<x/>")
    return target.getvalue()


PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF\n"
DOC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "WordDocument".encode("utf-16-le")
DOCX = package("[Content_Types].xml", "word/document.xml")


async def send(
    http: httpx.AsyncClient,
    person: Person | None,
    query: str,
    variables: dict[str, Any],
    files: dict[str, tuple[str, bytes]],
    *,
    headers: dict[str, str] | None = None,
) -> Reply:
    """Send a multipart request; `files` by their path in the variables: (name, bytes)."""
    operations = json.dumps({"query": query, "variables": variables})
    paths = {str(index): [path] for index, path in enumerate(files)}
    # A list of pairs with None as the file name keeps the order that the specification requires.
    parts: list[tuple[str, Any]] = [
        ("operations", (None, operations)),
        ("map", (None, json.dumps(paths))),
        *((str(index), file) for index, file in enumerate(files.values())),
    ]
    sent = dict(PREFLIGHT if headers is None else headers)
    if person is not None:
        sent["Authorization"] = person.header
    response = await http.post("/graphql", files=parts, headers=sent)
    return Reply.of(response.content, response.status_code)


async def attach(
    http: httpx.AsyncClient,
    person: Person | None,
    task_id: str,
    name: str,
    data: bytes,
    **more: Any,
) -> Reply:
    """`attachmentUpload`."""
    variables = {"input": {"taskId": task_id, "file": None, **more}}
    return await send(http, person, UPLOAD, variables, {"variables.input.file": (name, data)})


def local(url: str) -> str:
    """The path and query of one of the server's URLs."""
    prefix = "https://taskloom.example"
    assert url.startswith(prefix)
    return url.removeprefix(prefix)
