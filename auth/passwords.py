"""Hashing and verifying passwords.

The hash is bcrypt over base64(HMAC-SHA-256(pepper, password)). bcrypt reads at most 72 bytes and
stops at a NUL; the HMAC makes 44 characters of any password, so that all of its up to 100
characters count. The pepper is a setting, not in the database, so that a stolen dump cannot be
attacked offline; its version is stored with each hash.

bcrypt takes a quarter of a second by design. It runs in a few threads of its own (it releases the
GIL), so that a rush of logins delays only other logins.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import bcrypt

import texts
from auth.common_passwords import is_common, is_name
from errors import BadInput, Unavailable, check
from settings import AuthSettings

log = logging.getLogger("taskloom.auth")

T = TypeVar("T")

SHORTEST, LONGEST = 8, 100
# The queue length per thread: at cost 12 the last one waits about as long as an operation's time
# limit, so more would time out anyway.
_WAITING_PER_THREAD = 32


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """The stored values: bcrypt's text, and the version of the pepper."""

    text: str
    pepper_version: int


def normalized(password: str) -> str:
    """A single Unicode form of each password: `é` is one character, however it was typed."""
    # A password that is too long in every form cannot be valid; it is compared unchanged.
    return password if _too_long(password) else texts.normalized(password)


def _too_long(password: str) -> bool:
    return len(password) > LONGEST * texts.EXPANSION


@check("")
def acceptable(password: str, path: Sequence[str | int] = ("password",)) -> str:
    """The normalized password if it can be chosen; else raises `BadInput` with the broken rule.

    Spaces and all scripts are allowed, and nothing is trimmed. `demand_uncommon` checks whether it
    is easy to guess, once the account's names are known.
    """
    if _too_long(password):
        raise _refused_length(len(password), path)
    clean = normalized(password)
    if texts.CONTROL.search(clean):
        raise BadInput("A password must not contain control characters.", path=path)
    if texts.is_blank(clean):
        raise BadInput(
            "A password must not consist only of spaces or invisible characters.", path=path
        )
    if len(clean) < SHORTEST:
        raise BadInput(
            f"A password must have at least {SHORTEST} characters; this one has {len(clean)}.",
            path=path,
            limit=SHORTEST,
            actual=len(clean),
        )
    if len(clean) > LONGEST:
        raise _refused_length(len(clean), path)
    return clean


def _refused_length(length: int, path: Sequence[str | int]) -> BadInput:
    return BadInput(
        f"A password must have at most {LONGEST} characters; this one has {length:,}.",
        path=path,
        limit=LONGEST,
        actual=length,
    )


@check()
def demand_uncommon(password: str, path: Sequence[str | int], names: Iterable[str | None]) -> None:
    """Raise `BadInput` for a password that attackers try first: a common one, or one of the
    account's own names (username, address, full name).
    """
    if is_common(password):
        raise BadInput(
            "This password is one of the most common ones; choose one that is harder to guess.",
            path=path,
        )
    if is_name(password, names):
        raise BadInput(
            "A password must not be your username, email address or name; choose another one.",
            path=path,
        )


class Passwords:
    """Hashes and verifies outside the event loop. One per process."""

    def __init__(self, settings: AuthSettings) -> None:
        self._rounds = settings.bcrypt_rounds
        self._peppers = settings.peppers
        self._version = settings.password_pepper_version
        self._threads = max(1, min(4, (os.cpu_count() or 2) - 1))
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="password")
        self._running = 0
        # Used if the user does not exist. bcrypt takes the same time; no password has this hash.
        salt = bcrypt.gensalt(self._rounds).decode()
        self._nobody = PasswordHash(salt + "." * 31, self._version)

    async def hash(self, password: str) -> PasswordHash:
        """Hash with the current cost and pepper."""
        secret = self._peppered(password, self._version)
        text = await self._run(lambda: bcrypt.hashpw(secret, bcrypt.gensalt(self._rounds)))
        return PasswordHash(text.decode(), self._version)

    async def verify(self, password: str, kept: PasswordHash | None) -> bool:
        """Whether this is the password. None (no such user) returns False after the same time."""
        known = kept is not None and kept.pepper_version in self._peppers
        if kept is not None and not known:
            # The answer says that the password is wrong, which it may not be.
            log.error(
                "a password has a pepper of version %d, which is in neither "
                "TASKLOOM_PASSWORD_PEPPER nor TASKLOOM_PASSWORD_PEPPERS_OLD",
                kept.pepper_version,
            )
        against = kept if kept is not None and known else self._nobody
        secret = self._peppered(password, against.pepper_version)
        matches = await self._run(lambda: bcrypt.checkpw(secret, against.text.encode()))
        return matches and known

    def outdated(self, kept: PasswordHash) -> bool:
        """Whether the cost or the pepper has changed since; rehash at the next successful login."""
        rounds = kept.text.split("$")[2:3]
        return kept.pepper_version != self._version or rounds != [f"{self._rounds:02d}"]

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _peppered(self, password: str, version: int) -> bytes:
        # A lone surrogate has no UTF-8; a chosen password cannot contain it, but a client can send
        # it.
        text = normalized(password).encode("utf-8", "surrogatepass")
        digest = hmac.new(self._peppers[version], text, hashlib.sha256).digest()
        return base64.b64encode(digest)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._running >= self._threads * (_WAITING_PER_THREAD + 1):
            raise Unavailable("Too many users are signing in; try again in a few seconds.")
        self._running += 1
        loop = asyncio.get_running_loop()

        def ended(_: object) -> None:
            # When the thread ends, not its caller, which can be cancelled earlier.
            with contextlib.suppress(RuntimeError):  # The event loop is closed.
                loop.call_soon_threadsafe(self._end)

        under_way = self._pool.submit(work)
        under_way.add_done_callback(ended)
        return await asyncio.wrap_future(under_way)

    def _end(self) -> None:
        self._running -= 1
