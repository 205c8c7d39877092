"""Parse a GraphQL request from untrusted bytes.

Anything that is not a request is a `BadRequest` with the matching HTTP status; nothing that a
client can send ends in a fault. The same rules hold for the payload of a `subscribe` message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from starlette.types import Receive, Scope

from errors import ErrorCode, Failure
from graph.request.preparation import GraphQLRequest

# How many times the limit is read before a body that is too long is cut off.
_PATIENCE: Final = 10
# orjson's depth limit; its message for anything deeper begins with this.
_PARSED_LEVELS: Final = 1_024
_TOO_DEEP_TO_PARSE: Final = "depth limit exceeded"
_PARAMETERS: Final = (
    "query",
    "documentId",
    "operationName",
    "variables",
    "extensions",
    "onError",
)


class BadRequest(Failure):
    """The request is invalid; `status` is the HTTP status, `extra` goes into the error's
    `extensions`.
    """

    code = ErrorCode.BAD_REQUEST

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, extra=extra)
        self.status = status
        self.headers = dict(headers or {})


class Disconnected(Exception):  # noqa: N818 - what the client is
    """The client left before its request was complete."""


def header(scope: Scope, name: bytes) -> str | None:
    """A request header's value, or None. Names are in lower case, as in ASGI."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None


async def read_body(receive: Receive, limit: int) -> bytes:
    """The request's body. Raises `BadRequest` (413) if it is longer than `limit` bytes.

    A body that is too long is read on for a while and discarded: a client that is cut off while
    sending never reads why.
    """
    chunks: list[bytes] = []
    size = 0
    while size <= limit * _PATIENCE:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        if not message.get("more_body", False):
            break
    if size > limit:
        raise BadRequest(
            f"The body is longer than {limit:,} bytes.",
            status=413,
            headers={"Connection": "close"},
            # What was read of it; there may have been more.
            extra={"limit": "bytes", "actual": size, "maximum": limit},
        )
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def check_content_type(content_type: str | None) -> None:
    """Accept only JSON, in UTF-8: any other type could come from a form on another site. Forms with
    files have their own protection (`web.multipart`).
    """
    if content_type == "application/json":
        return
    name, *parameters = (part.strip().lower() for part in (content_type or "").split(";"))
    charsets = [part[8:].strip('"') for part in parameters if part.startswith("charset=")]
    if name != "application/json" or any(c not in {"utf-8", "utf8"} for c in charsets):
        raise BadRequest(
            "The body must be JSON: send `Content-Type: application/json` (in UTF-8). Files come "
            "as `multipart/form-data`.",
            status=415,
            headers={"Accept-Post": "application/json, multipart/form-data"},
        )


def request_from_json(body: bytes, depth: int) -> GraphQLRequest:
    """The request in a POST body. Raises `BadRequest`."""
    return request_from_object(parse_json(body, depth, "The body"))


def request_from_query(query_string: bytes, depth: int) -> GraphQLRequest:
    """The request in the parameters of a GET. Raises `BadRequest`."""
    try:
        # Percent-encoding can spell any bytes; only UTF-8 is text.
        pairs = parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=50,
        )
    except ValueError:
        raise BadRequest("The query string is not percent-encoded UTF-8.") from None
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name not in _PARAMETERS or not value:
            continue
        if name in values:
            raise BadRequest(f"`{name}` is given more than once.")
        values[name] = value
    for name in ("variables", "extensions"):
        if name in values:
            values[name] = parse_json(values[name].encode(), depth, f"`{name}`")
    return request_from_object(values)


def parse_json(text: bytes, depth: int, what: str) -> Any:
    """JSON of at most `depth` levels. Raises `BadRequest`.

    Numbers beyond 64 bits become floats, which fail where an integer is expected; those beyond a
    double, and lone surrogates, are rejected by orjson.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if error.msg.startswith(_TOO_DEEP_TO_PARSE):
            # As far as it was read; there may be more.
            raise _too_deep(what, _PARSED_LEVELS + 1, depth) from None
        raise BadRequest(f"{what} is not valid JSON: {error}.") from None
    # A text without that many brackets cannot be deeper; that is nearly every request.
    if text.count(b"{") + text.count(b"[") > depth:
        levels = _levels(value)
        if levels > depth:
            raise _too_deep(what, levels, depth)
    return value


def _too_deep(what: str, levels: int, depth: int) -> BadRequest:
    return BadRequest(
        f"{what} is nested {levels:,} levels deep; at most {depth} are allowed.",
        extra={"limit": "levels of JSON", "actual": levels, "maximum": depth},
    )


def _levels(value: Any) -> int:
    level, levels = [value], 0
    while True:
        containers = [item for item in level if isinstance(item, (dict, list))]
        if not containers:
            return levels
        levels += 1
        level = []
        for container in containers:
            level.extend(container.values() if isinstance(container, dict) else container)


def request_from_object(value: Any) -> GraphQLRequest:
    """A request from parsed JSON. Raises `BadRequest`."""
    if isinstance(value, list):
        raise BadRequest("Batches of operations are not supported; send them one by one.")
    if not isinstance(value, dict):
        raise BadRequest("A GraphQL request must be a JSON object with `query` or `documentId`.")
    query = value.get("query")
    if query is not None and not isinstance(query, str):
        raise BadRequest("`query` must be a string.")
    document_id = value.get("documentId")
    if document_id is not None and not isinstance(document_id, str):
        raise BadRequest("`documentId` must be a string.")
    operation_name = value.get("operationName")
    if operation_name is not None and not isinstance(operation_name, str):
        raise BadRequest("`operationName` must be a string or null.")
    on_error = value.get("onError")
    if on_error is not None and not isinstance(on_error, str):
        raise BadRequest("`onError` must be NULL, PROPAGATE or HALT.")
    for name in ("variables", "extensions"):
        if value.get(name) is not None and not isinstance(value[name], dict):
            raise BadRequest(f"`{name}` must be an object or null.")
    return GraphQLRequest(
        query=query,
        variables=value.get("variables"),
        # Some clients send an empty name instead of none.
        operation_name=operation_name or None,
        extensions=value.get("extensions"),
        document_id=document_id,
        on_error=on_error,
    )
