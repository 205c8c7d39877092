"""Documents that are sent by their hash alone: in `extensions.persistedQuery`, or as `documentId`.

*Automatic* ones (APQ): a client sends the text once, with its SHA-256, and later only the SHA-256.
They are kept in this process and, if Redis is configured, in Redis for all processes. The same
limits apply to them as to any text.

*Registered* ones: the operator stored them in the database (`taskloom documents register`). The
limits of documents do not apply to them, and with `TASKLOOM_DOCUMENTS=registered` nothing else is
run: a stranger can then send only what the operator's own applications send.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import re
import time
from collections.abc import Mapping
from typing import Any, Final

import orjson
from graphql import GraphQLError, parse, validate
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert
from strawberry import Schema

from cache import BoundedCache
from db import redis
from db.engine import Database
from db.models import RegisteredDocument
from db.read import Reader
from db.statements import Statement
from errors import ErrorCode, Failure
from settings import RedisSettings

log = logging.getLogger("taskloom.graphql")

# A document that is removed from the table stays valid for this many seconds.
_BELIEVED: Final = 60.0
_REDIS_SECONDS: Final = 0.5
_REDIS_KEPT: Final = 86_400 * 7
_APOLLO: Final = "apollo-persisted-query-manifest"
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
# The only kind of identifier in the appendix of GraphQL over HTTP that says what it is made of.
_DOCUMENT_ID: Final = re.compile(r"sha256:([0-9a-f]{64})")

_TEXT: Final = Statement(
    select(RegisteredDocument.text).where(RegisteredDocument.hash == bindparam("hash"))
)


def digest_of(extension: object) -> str:
    """The hash in `extensions.persistedQuery`. Raises `Failure`."""
    if not isinstance(extension, dict) or extension.get("version") != 1:
        # The exact message that clients look for; see also "PersistedQueryNotFound".
        raise Failure(
            "PersistedQueryNotSupported",
            code=ErrorCode.PERSISTED_QUERY_NOT_SUPPORTED,
            extra={"reason": "`extensions.persistedQuery` must be an object with `version` 1."},
        )
    digest = extension.get("sha256Hash")
    if not isinstance(digest, str) or _SHA256.fullmatch(digest) is None:
        raise Failure(
            "`extensions.persistedQuery.sha256Hash` must be 64 hexadecimal digits.",
            code=ErrorCode.BAD_REQUEST,
        )
    return digest.lower()


def digest_of_id(document_id: str) -> str:
    """The hash in a `documentId`. Raises `Failure`."""
    match = _DOCUMENT_ID.fullmatch(document_id)
    if match is None:
        raise Failure(
            "`documentId` must be `sha256:` and the SHA-256 of the document as 64 hexadecimal "
            "digits in lower case.",
            code=ErrorCode.BAD_REQUEST,
        )
    return match[1]


def sha256_of(text: str) -> str:
    """The hash of a document, as clients send it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class PersistedDocuments:
    """Automatic ones. A client whose hash is not known gets an error, and sends the text again."""

    def __init__(
        self, settings: RedisSettings | None = None, *, max_bytes: int = 16_000_000
    ) -> None:
        self._texts = BoundedCache[str, str](max_bytes, size=len)
        self._redis: Any = None
        self._prefix = ""
        if settings is not None and settings.url is not None:
            self._prefix = f"{settings.prefix}apq:"
            self._redis = redis.connect(
                settings.url,
                socket_connect_timeout=_REDIS_SECONDS,
                socket_timeout=_REDIS_SECONDS,
            )

    async def close(self) -> None:
        """Close the connection to Redis."""
        if self._redis is not None:
            await self._redis.aclose()

    async def find(self, digest: str) -> str | None:
        """The text of a hash, if it was sent before."""
        text = self._texts.get(digest)
        if text is None and self._redis is not None:
            text = await self._shared(digest)
            if text is not None:
                self._texts[digest] = text
        return text

    def verify(self, extension: object, text: str) -> str:
        """The hash, checked against the text that came with it. Raises `Failure`."""
        digest = digest_of(extension)
        if digest != sha256_of(text):
            raise Failure(
                "`extensions.persistedQuery.sha256Hash` must be the SHA-256 of `query`.",
                code=ErrorCode.BAD_REQUEST,
            )
        return digest

    async def keep(self, digest: str, text: str) -> None:
        """Store a valid document."""
        if self._texts.get(digest) is not None:
            return
        self._texts[digest] = text
        if self._redis is not None:
            try:
                await self._redis.set(self._prefix + digest, text.encode(), ex=_REDIS_KEPT)
            except redis.failures() as error:
                log.info("a persisted document could not be stored in Redis: %s", error)

    async def _shared(self, digest: str) -> str | None:
        try:
            raw = await self._redis.get(self._prefix + digest)
        except redis.failures() as error:
            log.info("persisted documents in Redis cannot be read: %s", error)
            return None
        if not isinstance(raw, bytes):
            return None
        text = raw.decode("utf-8", "replace")
        # Redis is not trusted: only a text with this hash is the document.
        return text if sha256_of(text) == digest else None


class RegisteredDocuments:
    """The operator's documents, read from the database and cached for a minute."""

    def __init__(self, reader: Reader, *, max_bytes: int = 16_000_000) -> None:
        self._reader = reader
        self._texts = BoundedCache[str, str](max_bytes, size=len)
        self._read_at: dict[str, float] = {}

    async def find(self, digest: str) -> str | None:
        """The text of a hash, if it is registered."""
        now = time.monotonic()
        if now - self._read_at.get(digest, -_BELIEVED) < _BELIEVED:
            known = self._texts.get(digest)
            if known is not None:
                return known
        rows = await self._reader.fetch(_TEXT, {"hash": digest})
        self._texts.pop(digest)
        self._read_at.pop(digest, None)
        if not rows:
            return None
        text: str = rows[0].text
        self._texts[digest] = text
        self._read_at[digest] = now
        return text


def read_documents(schema: Schema, raw: bytes) -> dict[str, str]:
    """The documents of a file, by their hashes. Raises `ValueError` if one of them is invalid.

    Tools write them with different kinds of keys (`relay-compiler`, GraphQL Code Generator), which
    are ignored: a document is identified by its SHA-256. Apollo's manifest
    (`apollo-persisted-query-manifest`) is read as well; its ids, which the clients send, must be
    that hash.
    """
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the file is not JSON: {error}") from None
    if isinstance(content, dict) and content.get("format") == _APOLLO:
        texts: object = _apollo_bodies(content)
    else:
        texts = list(content.values()) if isinstance(content, dict) else content
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("the file must contain a list of documents, or an object of them")
    for text in texts:
        if problem := problem_of(schema, text):
            raise ValueError(problem)
    return {sha256_of(text): text for text in texts}


def problem_of(schema: Schema, text: str) -> str | None:
    """Why a document is not valid, with its beginning; None if it is."""
    try:
        errors = validate(schema._schema, parse(text))  # noqa: SLF001 - Strawberry's way to it
    except GraphQLError as error:
        errors = [error]
    if not errors:
        return None
    start = " ".join(text.split())[:60]
    return f"{errors[0].message} (in “{start}…”)"


def _apollo_bodies(manifest: Mapping[str, Any]) -> list[str]:
    operations = manifest.get("operations")
    if manifest.get("version") != 1 or not isinstance(operations, list):
        raise ValueError(f"the {_APOLLO} must have version 1 and a list of operations")
    bodies = []
    for operation in operations:
        if not isinstance(operation, dict) or not isinstance(body := operation.get("body"), str):
            raise ValueError(  # noqa: TRY004 - about the file, as all that is raised here
                f"each operation of the {_APOLLO} must have a body that is a text"
            )
        if str(operation.get("id", "")).lower() != sha256_of(body):
            raise ValueError(
                f"the id of the operation {operation.get('name')} is not the SHA-256 of its body; "
                "generate the manifest without createOperationId"
            )
        bodies.append(body)
    return bodies


async def register(database: Database, texts: Mapping[str, str], now: dt.datetime) -> int:
    """Store documents in the database, by their hashes; returns how many are new."""
    if not texts:
        return 0
    rows = [{"hash": key, "text": text, "created_at": now} for key, text in texts.items()]
    added = insert(RegisteredDocument).values(rows).on_conflict_do_nothing()
    async with database.session() as session, session.begin():
        done = await session.execute(added.returning(RegisteredDocument.hash))
        return len(done.all())


async def registered_problems(database: Database, schema: Schema) -> list[tuple[str, str]]:
    """The registered documents that the schema no longer accepts: their hashes, and why."""
    query = select(RegisteredDocument.hash, RegisteredDocument.text).order_by(
        RegisteredDocument.created_at, RegisteredDocument.hash
    )
    async with database.session() as session:
        rows = (await session.execute(query)).all()
    return [(row.hash, problem) for row in rows if (problem := problem_of(schema, row.text))]
