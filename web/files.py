"""Files over HTTP: downloads of attachments and avatars, and the bytes of uploads.

An attachment can be downloaded by users who can see it (`Authorization: Bearer`), and with a signed
address. It is always a download under its own name: only what this server made itself, a thumbnail
or an avatar, is shown in a page. The headers do the rest: no type sniffing, no scripts, no frames.
A hidden file and a missing one give the same answer.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import bindparam, select
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from auth.viewer import NOBODY, Viewer
from db import models
from db.statements import Statement
from domain.accounts import avatar
from domain.tasks import attachment as attachments
from domain.work import Work
from errors import BadInput, ErrorCode, Failure, Forbidden, NotFound, Unauthenticated
from files.images import AVATAR_SIZES, AVATAR_TYPES, THUMBNAIL_TYPE
from files.store import ORIGINAL, THUMBNAIL
from files.upload import Upload
from graph.core import ids
from graph.request.answer import refusal
from graph.request.scopes import demand
from web.requests import BadRequest
from web.runtime import Runtime

_STATUSES: Final = {
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.ALREADY_EXISTS: 409,
    ErrorCode.CONFLICT: 409,
    ErrorCode.FILE_TOO_LARGE: 413,
    ErrorCode.FILE_TYPE_NOT_ALLOWED: 415,
    ErrorCode.FILE_TYPE_MISMATCH: 415,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.UNAVAILABLE: 503,
}
# If a browser shows it all the same, the page can do nothing.
_CONTAINED: Final = {"Content-Security-Policy": "default-src 'none'; sandbox"}
_RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII)
_AVATAR: Final = Statement(
    select(models.User.avatar_id).where(
        models.User.id == bindparam("user_id"), models.User.deleted_at.is_(None)
    )
)
# The scope that an API key needs.
_SCOPE: Final = "files:read"
# Sixteen times the limit is read and discarded before a sender is cut off.
_PATIENCE: Final = 16


def file_routes(runtime: Runtime) -> list[BaseRoute]:
    """The routes, for the application."""
    routes = _Routes(runtime)
    return [
        Route("/files/uploads/{id}", routes.receive, methods=["PUT"]),
        Route("/files/{id}", routes.original, methods=["GET"]),
        Route("/files/{id}/thumbnail", routes.thumbnail, methods=["GET"]),
        Route("/users/{id}/avatar.{ending}", routes.avatar, methods=["GET"]),
    ]


class _Routes:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    # --- attachments -----------------------------------------------------------------------------

    async def original(self, request: Request) -> Response:
        """`GET /files/{id}`: the file, or a part of it."""
        try:
            found = await self._attachment(request)
            headers = {
                **_CONTAINED,
                "Content-Disposition": _disposition(found.filename),
                "Cache-Control": "private, no-cache",
            }
            return await self._send(
                request,
                found.file_id,
                ORIGINAL,
                size=found.size,
                etag=found.sha256,
                media_type=_media_type(found.content_type),
                headers=headers,
            )
        except Failure as failure:
            return _refuse(request, failure)

    async def thumbnail(self, request: Request) -> Response:
        """`GET /files/{id}/thumbnail`: a small WebP of an image."""
        try:
            found = await self._attachment(request)
            if not found.has_thumbnail:
                raise NotFound("file")
            data = await self._runtime.services.files.store.read_all(found.file_id, THUMBNAIL)
        except Failure as failure:
            return _refuse(request, failure)
        headers = {
            **_CONTAINED,
            "Content-Disposition": "inline",
            "Cache-Control": "private, max-age=300",
            "ETag": f'"{found.sha256}-thumbnail"',
        }
        return Response(data, media_type=THUMBNAIL_TYPE, headers=headers)

    async def _attachment(self, request: Request) -> models.Attachment:
        """The requested attachment. Raises `NotFound`, `Unauthenticated` or `Forbidden`, the latter
        for an invalid signature and for a key without the scope.
        """
        signed = self._signed(request, "GET")
        viewer = NOBODY if signed else await self._viewer(request)
        if not signed:
            viewer.require()
            demand(viewer, (_SCOPE,))
        attachment_id = _uuid(models.Attachment, request.path_params["id"])

        async def find(work: Work) -> models.Attachment | None:
            if signed:
                return await work.session.get(models.Attachment, attachment_id)
            try:
                return await work.readable(models.Attachment, attachment_id)
            except NotFound:
                return None

        found = await self._runtime.change(find, request.scope["taskloom.request"], viewer)
        if found is None:
            raise NotFound("file")
        return found

    async def receive(self, request: Request) -> Response:
        """`PUT /files/uploads/{id}`: the bytes of an upload, to its signed address."""
        services = self._runtime.services
        upload = Upload("", services.files.most_bytes)
        try:
            if not self._signed(request, "PUT"):
                raise Unauthenticated("Send the file to the address returned for the upload.")
            upload_id = _uuid(models.StoredFile, request.path_params["id"])
            async for chunk in request.stream():
                await upload.write(chunk)
                if upload.size > upload.limit * _PATIENCE:
                    services.files.check_size(upload.size)
            transact = partial(self._runtime.change, request=request.scope["taskloom.request"])
            await attachments.receive(transact, services.files, upload_id, upload)
        except ClientDisconnect:
            return Response(status_code=400)
        except Failure as failure:
            return _refuse(request, failure)
        finally:
            upload.close()
        return Response(status_code=204)

    # --- pictures of people ----------------------------------------------------------------------

    async def avatar(self, request: Request) -> Response:
        """`GET /users/{id}/avatar.{png|jpg|webp}?size=64|128|256`: for anybody."""
        try:
            avatar_id, name, media_type = await self._picture(request)
            store = self._runtime.services.files.store
            data = await store.read_all(avatar_id, name)
        except Failure as failure:
            return _refuse(request, failure)
        # An address with the version never shows anything else.
        fixed = request.query_params.get("v") == avatar.version(avatar_id)
        headers = {
            **_CONTAINED,
            "Content-Disposition": "inline",
            "Cache-Control": f"public, max-age={31536000 if fixed else 300}"
            + (", immutable" if fixed else ""),
            "Cross-Origin-Resource-Policy": "cross-origin",
            "ETag": f'"{avatar_id.hex}-{name}"',
        }
        if _unchanged(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=media_type, headers=headers)

    async def _picture(self, request: Request) -> tuple[UUID, str, str]:
        ending = request.path_params["ending"].lower().replace("jpeg", "jpg")
        if ending not in AVATAR_TYPES:
            raise NotFound("picture")
        size = request.query_params.get("size", str(max(AVATAR_SIZES)))
        if size not in map(str, AVATAR_SIZES):
            known = ", ".join(map(str, AVATAR_SIZES))
            raise BadInput(f"size must be one of {known} (pixels).", path=("size",))
        rows = await self._runtime.services.database.reader.fetch(
            _AVATAR, {"user_id": _uuid(models.User, request.path_params["id"])}
        )
        if not rows or rows[0].avatar_id is None:
            raise NotFound("picture")
        return rows[0].avatar_id, f"{size}.{ending}", AVATAR_TYPES[ending][1]

    # --- what they share -------------------------------------------------------------------------

    def _signed(self, request: Request, method: str) -> bool:
        """Whether the address has a signature; `Forbidden` if it is invalid."""
        expires = request.query_params.get("expires")
        signature = request.query_params.get("signature")
        if expires is None and signature is None:
            return False
        services = self._runtime.services
        allowed = services.files.links.allows(
            method, request.url.path, expires or "", signature or "", services.clock()
        )
        if not allowed:
            raise Forbidden("This address is no longer valid; request a new one.")
        return True

    async def _viewer(self, request: Request) -> Viewer:
        authorization = request.headers.get("authorization")
        return await self._runtime.services.authenticator.viewer(authorization)

    async def _send(
        self,
        request: Request,
        file_id: UUID,
        name: str,
        *,
        size: int,
        etag: str,
        media_type: str,
        headers: dict[str, str],
    ) -> Response:
        """The bytes, or one range of them (RFC 9110, 14); for several ranges, all bytes."""
        headers = {**headers, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        if _unchanged(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        start, end, status = 0, size, 200
        if request.headers.get("if-range", headers["ETag"]) == headers["ETag"]:
            asked = _range(request.headers.get("range"), size)
            if asked is not None:
                start, end = asked
                status = 206
        if start >= end:
            return _refuse(
                request,
                BadRequest(
                    f"The file has {size:,} bytes; none of the range is among them.",
                    status=416,
                    headers={"Content-Range": f"bytes */{size}"},
                ),
            )
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        headers["Content-Length"] = str(end - start)
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers, media_type=media_type)
        store = self._runtime.services.files.store
        # Not every store answers a range of all bytes as a range.
        part = None if end - start == size else (start, end)
        chunks: AsyncIterator[bytes] = await store.read(file_id, name, part)
        return StreamingResponse(chunks, status, headers=headers, media_type=media_type)


def _uuid(model: Any, text: str) -> UUID:
    """The ID; `NotFound` if it is invalid."""
    try:
        return ids.decode_only(model, text, ())
    except BadInput:
        raise NotFound("file") from None


def _range(asked: str | None, size: int) -> tuple[int, int] | None:
    """The first byte and the one after the last; None for all; an empty range is unsatisfiable."""
    match = _RANGE.fullmatch(asked or "")
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return max(0, size - int(match[2])), size
    start = int(match[1])
    if match[2] and int(match[2]) < start:
        # A range that ends before it begins is invalid and ignored.
        return None
    return start, min(int(match[2]) + 1, size) if match[2] else size


def _unchanged(request: Request, etag: str) -> bool:
    """Whether the client has this version already, by `If-None-Match`; `*` means any (RFC 9110)."""
    known = {
        part.strip().removeprefix("W/")
        for part in request.headers.get("if-none-match", "").split(",")
    }
    return not known.isdisjoint({etag, "*"})


def _disposition(filename: str) -> str:
    """A download with this name (RFC 6266), in ASCII as well for old clients."""
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def _media_type(content_type: str) -> str:
    # Plain text may be in any encoding, and Starlette would say UTF-8.
    return "application/octet-stream" if content_type == "text/plain" else content_type


def _refuse(request: Request, failure: Failure) -> Response:
    """The failure as JSON, in the form of GraphQL errors."""
    status = _STATUSES.get(failure.code, 400)
    headers = {"Cache-Control": "no-store"}
    if isinstance(failure, BadRequest):
        status = failure.status
        headers.update(failure.headers)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = refusal(failure, request.scope["taskloom.request"].id).body()
    return Response(body, status, media_type="application/json", headers=headers)
