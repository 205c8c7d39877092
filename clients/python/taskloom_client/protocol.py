"""What both clients do, without doing any input or output.

A *flow* is a generator that yields requests and is sent their responses; `Taskloom` and
`AsyncTaskloom` run flows, each in its own way.
"""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from taskloom_client.errors import SignInAgain, TaskloomError, error_of, problems_of

T = TypeVar("T")
Variables = dict[str, Any]

# The kinds of errors that pass, and how long to wait for it, in seconds.
PASSING = frozenset({"UNAVAILABLE", "RATE_LIMITED"})
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
# Nobody waits longer than this for an answer; a limit per hour is an error.
LONGEST_WAIT = 60.0
ATTEMPTS = 8
# Bytes of a file between two calls of `progress`.
CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a session. Keep them where only this program can read them."""

    access: str
    refresh: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Send this body to the API. The answer is a response, or None if there was none."""

    body: dict[str, Any]
    # Whether to send the credentials.
    signed: bool = True


@dataclass(frozen=True, slots=True)
class Put:
    """Send a file to an address that needs no credentials. `progress` is called with the bytes sent
    so far and all. The answer is as for `Ask`.
    """

    url: str
    content: bytes
    progress: Callable[[int, int], None] | None

    @property
    def headers(self) -> dict[str, str]:
        """The headers; without a length, httpx would send the parts with lengths of their own."""
        return {"Content-Length": str(len(self.content))}

    def chunks(self) -> Iterator[bytes]:
        """The content in parts; the progress after each."""
        for first in range(0, len(self.content), CHUNK):
            part = self.content[first : first + CHUNK]
            yield part
            if self.progress is not None:
                self.progress(first + len(part), len(self.content))


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Renew:
    """Renew the tokens, one call at a time: run `renewed`."""

    # The access token that was refused.
    used: str | None
    # Whether a server that cannot answer now is an error.
    now: bool = True


Step = Ask | Put | Pause | Renew
Flow = Generator[Step, Any, T]


class Credentials:
    """A key, or the tokens of a session, which change. `save` is called with new tokens."""

    def __init__(
        self, key: str | None, tokens: Tokens | None, save: Callable[[Tokens], None] | None
    ) -> None:
        self._key = key
        self.tokens = tokens
        self._save = save

    @property
    def access(self) -> str | None:
        """The key, or the access token."""
        return self._key or (self.tokens.access if self.tokens else None)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request."""
        access = self.access
        return {"Authorization": f"Bearer {access}"} if access else {}

    @property
    def can_renew(self) -> bool:
        """Whether there is a refresh token."""
        return self._key is None and self.tokens is not None

    def set(self, tokens: Tokens) -> None:
        """Use these from now on."""
        self.tokens = tokens
        if self._save is not None:
            self._save(tokens)


_TOKENS = "accessToken refreshToken errors { code message path }"
_SIGN_IN = (
    "mutation ($login: String!, $password: String!) "
    f"{{ sessionCreate(input: {{login: $login, password: $password}}) {{ {_TOKENS} }} }}"
)
_REFRESH = (
    "mutation ($token: String!) "
    f"{{ sessionRefresh(input: {{refreshToken: $token}}) {{ {_TOKENS} }} }}"
)
_UPLOAD_START = (
    "mutation ($input: AttachmentUploadStartInput!) { attachmentUploadStart(input: $input) "
    "{ upload { id url } errors { code path message } } }"
)
_UPLOAD_FINISH = (
    "mutation ($input: AttachmentUploadFinishInput!) { attachmentUploadFinish(input: $input) "
    "{ attachment { id filename byteSize downloadUrl } errors { code path message } } }"
)


def signed_in(credentials: Credentials, login: str, password: str) -> Flow[None]:
    """Begin a session."""
    body = {"query": _SIGN_IN, "variables": {"login": login, "password": password}}
    credentials.set((yield from _tokens(body, "sessionCreate")))


def renewed(credentials: Credentials, step: Renew) -> Flow[None]:
    """Renew a session, unless another call has done it meanwhile. The server gives the same tokens
    again for ten seconds.
    """
    tokens = credentials.tokens
    if tokens is None or tokens.access != step.used:
        return
    body = {"query": _REFRESH, "variables": {"token": tokens.refresh}}
    try:
        credentials.set((yield from _tokens(body, "sessionRefresh")))
    except SignInAgain:
        # Nobody need try it again.
        credentials.tokens = None
        raise
    except TaskloomError as error:
        if step.now or error.code not in PASSING:
            raise


def _tokens(body: dict[str, Any], field: str) -> Flow[Tokens]:
    answer = yield from _answered(Ask(body, signed=False))
    problems = problems_of(answer)
    if problems:
        raise error_of(problems)
    payload = answer["data"][field]
    return Tokens(payload["accessToken"], payload["refreshToken"])


def queried(credentials: Credentials, query: str, variables: Variables) -> Flow[Any]:
    """The data of a query."""
    return _executed(credentials, {"query": query, "variables": variables}, repeat=True)


def mutated(credentials: Credentials, query: str, variables: Variables) -> Flow[Any]:
    """The data of a mutation, with an idempotency key in `input` if it has one."""
    given: Any = variables.get("input")
    if keyed := isinstance(given, dict):
        variables = {**variables, "input": {"idempotencyKey": uuid.uuid4().hex, **given}}
    return _executed(credentials, {"query": query, "variables": variables}, repeat=keyed)


def uploaded(
    credentials: Credentials,
    task: str,
    filename: str,
    content: bytes,
    progress: Callable[[int, int], None] | None,
) -> Flow[Any]:
    """Attach a file; the attachment."""
    values = {"taskId": task, "filename": filename, "byteSize": len(content)}
    started = yield from mutated(credentials, _UPLOAD_START, {"input": values})
    target = started["attachmentUploadStart"]["upload"]
    response: httpx.Response | None = yield Put(target["url"], content, progress)
    if response is None or response.status_code != httpx.codes.NO_CONTENT:
        raise error_of(problems_of(answer_of(response)))
    values = {"uploadId": target["id"]}
    done = yield from mutated(credentials, _UPLOAD_FINISH, {"input": values})
    return done["attachmentUploadFinish"]["attachment"]


def _executed(credentials: Credentials, body: dict[str, Any], *, repeat: bool) -> Flow[Any]:
    """The data of an answer. `repeat`: whether it may be sent again without an answer."""
    for is_second in (False, True):
        used = credentials.access
        answer = yield from _answered(Ask(body), repeat=repeat)
        problems = problems_of(answer)
        expired = any(problem.code == "UNAUTHENTICATED" for problem in problems)
        if not expired or not credentials.can_renew or is_second:
            break
        yield Renew(used)
    if problems:
        raise error_of(problems, answer.get("data"))
    return answer["data"]


def _answered(ask: Ask, *, repeat: bool = True) -> Flow[dict[str, Any]]:
    """The answer to a request, sent again if that may help."""
    for attempt in range(1, ATTEMPTS + 1):
        response: httpx.Response | None = yield ask
        answer = answer_of(response)
        passing = [problem for problem in problems_of(answer) if problem.code in PASSING]
        # What was refused before it began may be sent again in any case.
        refused = answer.get("data") is None and any(
            problem.code == "RATE_LIMITED" for problem in passing
        )
        if attempt == ATTEMPTS or not passing or not (repeat or refused):
            return answer
        given = passing[0].more.get("retryAfter")
        seconds = float(given) if given is not None else pause(attempt)
        if seconds > LONGEST_WAIT:
            return answer
        yield Pause(seconds)
    raise AssertionError


def pause(attempt: int) -> float:
    """How long to wait after the first, second … failure, with some randomness."""
    longest: float = min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE)
    return longest * random.uniform(0.5, 1)  # noqa: S311 - nobody has to guess it


def answer_of(response: httpx.Response | None) -> dict[str, Any]:
    """The answer in a response; one with an error if there is none, or it is not from the API."""
    if response is not None:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if isinstance(answer, dict) and ("data" in answer or "errors" in answer):
            return answer
    if response is None:
        return _failed("The server could not be reached.", code="UNAVAILABLE")
    status, wait = response.status_code, response.headers.get("Retry-After", "")
    passes = status >= httpx.codes.INTERNAL_SERVER_ERROR or status == httpx.codes.TOO_MANY_REQUESTS
    return _failed(
        f"The answer has the status {status} and is not from the API.",
        code="UNAVAILABLE" if passes else "BAD_REQUEST",
        **({"retryAfter": int(wait)} if re.fullmatch("[0-9]{1,9}", wait) else {}),
    )


def _failed(message: str, **extensions: Any) -> dict[str, Any]:
    return {"errors": [{"message": message, "extensions": extensions}]}


def page_at(data: Any, path: str) -> Any:
    """The connection at a path such as `project.tasks`."""
    for name in path.split("."):
        data = data[name]
    return data
