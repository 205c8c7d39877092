"""The unit of work: one transaction, one viewer, one moment.

A domain function receives a `Work`, changes rows through `work.session` (or, if it knows its
statements beforehand, by `work.fetch`), and records events with `work.record`. All are rows of the
same transaction, so every announced change happened and every change is announced; the events are
written last, in one statement. Domain functions never commit. Every change, whether from GraphQL, a
route, a job or the command line, goes through `Transactions`, which commits, retries after a
deadlock, and does what follows a commit.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from inspect import isawaitable
from typing import Any, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import Select, Uuid, bindparam, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from auth import access
from auth.request import RequestInfo
from auth.viewer import NOBODY, Viewer, placeholder_viewer
from db import jobs, models
from db.base import Base, Versioned, new_id
from db.engine import Database
from db.rows import given_rows
from db.statements import Statement
from db.transaction import Single, Transaction
from domain import locks, rules
from domain.json_value import json_value
from errors import Conflict, ErrorCode, Failure, Forbidden, NotFound, demand_no_problems
from events.bus import JOBS, Announcement, Bus
from events.kinds import EventKind
from telemetry import spans

M = TypeVar("M", bound=Base)
V = TypeVar("V", bound=Versioned)
T = TypeVar("T")

log = logging.getLogger("taskloom.work")

# serialization_failure, deadlock_detected: PostgreSQL's way of saying "try again".
_RETRIED = frozenset({"40001", "40P01"})
_ATTEMPTS = 3

Act = Callable[["Work"], Awaitable[T]]


class Transact(Protocol):
    """Runs a function in a transaction of its own: `Transactions.run` for one viewer, moment and
    request. For operations that need several transactions, with slow work between them.
    """

    def __call__(self, act: Act[T], /) -> Awaitable[T]:
        """What `act` returns, once it is committed."""


@dataclass(slots=True)
class Work:
    """See the module. `now` is the moment of the whole change, passed in so that tests control
    it.
    """

    transaction: Transaction | Single
    viewer: Viewer
    now: dt.datetime
    request: RequestInfo
    # What is announced on the bus after the commit; filled by `record`.
    touched_projects: set[UUID] = field(default_factory=set)
    touched_users: set[UUID] = field(default_factory=set)
    recorded: int = 0
    # What `record` has appended and `write_events` has not yet written.
    events: list[dict[str, Any]] = field(default_factory=list)
    # Whether a job was queued that is due now, so that a worker is woken after the commit.
    enqueued: bool = False
    # Run in order once the transaction has committed, such as to drop cached sessions. A failure
    # here loses them: what must not get lost is an event or a job.
    after_commit: list[Callable[[], Awaitable[None] | None]] = field(default_factory=list)
    # What happens although the change is refused: each runs in a transaction of its own once this
    # one was rolled back, before the failure is raised. Until then it would need a second
    # connection, and changes that all hold one and wait for another would wait for each other.
    after_refusal: list[Act[None]] = field(default_factory=list)

    @property
    def session(self) -> AsyncSession:
        """For entities that are read, changed and written back."""
        demand_no_problems()
        return self.transaction.session

    async def fetch(self, statement: Statement, params: Mapping[str, Any]) -> list[Any]:
        """The rows of a compiled statement, in the same transaction; it may use the viewer's
        parameters.

        For frequent statements: it takes a third of the session's time.
        """
        demand_no_problems()
        return await self.transaction.fetch(statement, {**self.viewer.params, **params})

    def new_id(self) -> UUID:
        """A new UUIDv7 of this moment."""
        return new_id(self.now)

    def record(
        self,
        kind: EventKind,
        subject: Base,
        changes: Sequence[tuple[str, Any, Any]] = (),
        *,
        task_id: UUID | None = None,
        project_id: UUID | None = None,
        audience: Sequence[UUID] = (),
        **columns: Any,
    ) -> UUID:
        """Append to the log, in this transaction; returns the event's ID.

        `changes` are `(field, from, to)` with the schema's field names in snake case; ids, dates
        and enums are written as text. `audience` can read the event whatever their rights.
        `columns` are others of the event, such as its actor if the request started signed out.
        """
        event = self.event(
            kind,
            type(subject),
            subject.id,  # type: ignore[attr-defined]  # every subject is Identified
            changes,
            task_id=task_id,
            project_id=project_id,
            audience=audience,
        )
        self.events.append(event | columns)
        id_: UUID = event["id"]
        return id_

    async def write_events(self) -> int:
        """Write what was recorded; returns the position of the last one, 0 if there is none.

        Happens by itself before the commit: needed earlier only by who reads the log.
        """
        events = list(self.events)
        self.events.clear()
        if not events:
            return 0
        rows = await self.fetch(_RECORD, {"rows": events})
        last: int = max(row.position for row in rows)
        return last

    def event(
        self,
        kind: EventKind,
        subject: type[Base],
        subject_id: UUID,
        changes: Sequence[tuple[str, Any, Any]] = (),
        *,
        task_id: UUID | None = None,
        project_id: UUID | None = None,
        audience: Sequence[UUID] = (),
    ) -> dict[str, Any]:
        """The columns of an event as `record` appends it, to write them together with the change
        itself, or to append them to `events`.
        """
        own = self.viewer.projects
        if own is not None and project_id not in own:
            # Every change is recorded, so this check covers every change.
            raise Forbidden(
                "This API key is restricted to projects; this does not belong to any of them."
            )
        self.recorded += 1
        if project_id is not None:
            self.touched_projects.add(project_id)
        self.touched_users.update(audience)
        return {
            "id": self.new_id(),
            "at": self.now,
            "kind": kind.value,
            "actor_id": self.viewer.user_id,
            "session_id": self.viewer.session_id,
            "api_key_id": self.viewer.api_key_id,
            "integration_id": self.viewer.integration_id,
            "request_id": self.request.id,
            "trace": spans.traceparent(),
            "ip": self.request.ip,
            "subject_type": subject.__name__,
            "subject_id": subject_id,
            "task_id": task_id,
            "project_id": project_id,
            "audience": list(audience),
            "changes": [
                {"field": name, "from": json_value(old), "to": json_value(new)}
                for name, old, new in changes
            ],
        }

    async def enqueue(
        self,
        name: str,
        payload: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        run_at: dt.datetime | None = None,
        one_at_a_time: bool = False,
    ) -> None:
        """Queue a background job in this transaction, by the name of its handler.

        `payload`: values as for `record`. `run_at`: the earliest time to run, immediately by
        default. While a job with the same `key` waits for its first attempt, no second one is
        queued; the waiting one runs at the earlier of both times, but not before this transaction
        has ended. `one_at_a_time`: the key is held until the job is done or has failed. A waiting
        job, for whichever attempt, is moved to the earlier time; a running one is run again.
        """
        await self.enqueue_all(
            name, [(payload or {}, key)], run_at=run_at, one_at_a_time=one_at_a_time
        )

    async def enqueue_all(
        self,
        name: str,
        wanted: Sequence[tuple[Mapping[str, Any], str | None]],
        *,
        run_at: dt.datetime | None = None,
        one_at_a_time: bool = False,
    ) -> None:
        """Queue jobs of one handler, each with its payload and key, as `enqueue` does. Of those
        with one key the first is queued.
        """
        if not wanted:
            return
        self.enqueued |= run_at is None or run_at <= self.now
        trace = spans.traceparent()
        statement, params = jobs.queued(
            name,
            [
                jobs.NewJob(
                    self.new_id(),
                    {
                        # For the log: what caused the job.
                        jobs.REQUEST: self.request.id,
                        **({} if trace is None else {jobs.TRACE: trace}),
                        **{part: json_value(item) for part, item in payload.items()},
                    },
                    key,
                )
                for payload, key in wanted
            ],
            now=self.now,
            run_at=run_at,
            one_at_a_time=one_at_a_time,
        )
        await self.fetch(statement, params)

    async def demand_free(self, model: type[Base], id_: UUID | None) -> None:
        """Raise `AlreadyExists` if a client chose the ID of a row that exists."""
        if id_ is not None and await self.fetch(_of_id(model), {"id": id_}):
            raise rules.taken("id", ("id",))

    async def readable(
        self, model: type[M], id_: UUID, *, lock: bool = False, path: Sequence[str | int] = ("id",)
    ) -> M:
        """The row if the viewer can see it, otherwise `NotFound`.

        `lock` locks it FOR UPDATE, after the rows it belongs to (see `domain.locks`): neither its
        project nor its task is deleted, archived or moved until the commit.
        """
        found: M = (await self._found(model, id_, None, lock=lock, path=path))[0]
        return found

    async def editable(
        self, model: type[M], id_: UUID, *, path: Sequence[str | int] = ("id",)
    ) -> M:
        """The row, locked, if the viewer can edit it; otherwise `NotFound` or `Forbidden`."""
        return await self.permitted(model, id_, access.edit, "change", path=path)

    async def deletable(
        self, model: type[M], id_: UUID, *, path: Sequence[str | int] = ("id",)
    ) -> M:
        """The row, locked, if the viewer can delete it; otherwise `NotFound` or `Forbidden`."""
        return await self.permitted(model, id_, access.delete, "delete", path=path)

    async def shareable(
        self, model: type[M], id_: UUID, *, path: Sequence[str | int] = ("id",)
    ) -> M:
        """The row, locked, if the viewer can share it; otherwise `NotFound` or `Forbidden`."""
        return await self.permitted(model, id_, access.share, "share", path=path)

    async def permitted(
        self,
        model: type[M],
        id_: UUID,
        right: Any,
        verb: str,
        *,
        path: Sequence[str | int] = ("id",),
    ) -> M:
        """The row, locked as by `readable`, if `right` (a predicate of `auth.access`) holds."""
        found: tuple[M, bool, bool] = await self._found(model, id_, right, lock=True, path=path)
        demand_right(model, verb, allowed=found[1], held=found[2], path=path)
        return found[0]

    async def _found(
        self,
        model: type[M],
        id_: UUID,
        right: Any,
        *,
        lock: bool,
        path: Sequence[str | int],
    ) -> Any:
        """The row, whether the right holds, and whether it would if nothing were archived."""
        if lock:
            # A separate statement: the next one sees what was committed while this one waited.
            await locks.lock_row(self, model, id_)
        statement = _visible(model, placeholder_viewer(self.viewer.shape), right)
        async with self._viewing():
            answer = await self.session.execute(statement, {"id": id_, **self.viewer.params})
        found = answer.first()
        if found is None:
            raise NotFound(access.rule_of(model).noun, path=path)
        return found

    def _viewing(self) -> AbstractAsyncContextManager[None]:
        assert isinstance(self.transaction, Transaction)
        return self.transaction.viewing(self.viewer.row_viewer)

    async def demand(
        self, row: Base, right: Any, verb: str, *, path: Sequence[str | int] = ("id",)
    ) -> None:
        """Raise unless the viewer has this right on a row that they can see: `PROJECT_ARCHIVED` if
        an archived project is the only reason, otherwise `FORBIDDEN`.
        """
        model = type(row)
        async with self._viewing():
            answer = await self.session.execute(
                _allowed(model, placeholder_viewer(self.viewer.shape), right),
                {"id": row.id, **self.viewer.params},  # type: ignore[attr-defined]
            )
        found = answer.one()
        demand_right(model, verb, allowed=found[0], held=found[1], path=path)

    def apply(
        self,
        row: V,
        values: Mapping[str, Any],
        *,
        if_version: int | None = None,
        ref: str | None = None,
        ignore: Sequence[str] = (),
    ) -> list[tuple[str, Any, Any]]:
        """Set attributes of a locked row; returns what really changed, for `record`.

        The one place where `ifVersion` is compared and the version increases. The row is locked
        (`editable`), so comparison and update are atomic. On a mismatch, `Conflict` names the
        fields whose current value differs from the wanted one, and refers to the current object
        under `ref`. `ignore` are attributes that follow from others and are not reported.
        """
        demand_no_problems()
        changes = [
            (name, getattr(row, name), value)
            for name, value in values.items()
            if getattr(row, name) != value
        ]
        self.check_version(
            row, if_version, fields=[name for name, _, _ in changes if name not in ignore], ref=ref
        )
        if not changes:
            return []
        for name, _, value in changes:
            setattr(row, name, value)
        row.version += 1
        row.updated_at = self.now
        return [change for change in changes if change[0] not in ignore]

    def check_version(
        self, row: Versioned, if_version: int | None, *, fields: Sequence[str], ref: str | None
    ) -> None:
        """Raise `Conflict` if the client's `ifVersion` is not the row's version."""
        if if_version is None or if_version == row.version:
            return
        noun = access.rule_of(type(row)).noun
        raise Conflict(
            f"The {noun} has version {row.version}, but ifVersion is {if_version}. Read it again.",
            path=("if_version",),
            fields=fields,
            refs={} if ref is None else {ref: row.id},
        )


@contextmanager
def lost_races() -> Iterator[None]:
    """Raise the failure that a violated unique constraint means, if it means one: rules are checked
    before writing, so a violation means that another transaction was faster.
    """
    try:
        yield
    except IntegrityError as error:
        name = getattr(error.orig, "constraint_name", None) or getattr(
            getattr(error.orig, "__cause__", None), "constraint_name", None
        )
        failure = rules.violation(name)
        if failure is None:
            raise
        raise failure from error


@dataclass(frozen=True, slots=True)
class Transactions:
    """Where changes begin: the database, and the bus that hears of what was committed."""

    database: Database
    bus: Bus

    async def run(
        self, act: Act[T], viewer: Viewer = NOBODY, *, now: dt.datetime, request: RequestInfo
    ) -> T:
        """What `act` returns, once it is committed. It is rolled back if `act` raises, and run
        again from the beginning, up to twice, if PostgreSQL aborts it because of another one.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with self.begin(viewer, now=now, request=request) as work:
                    return await act(work)
            except DBAPIError as error:
                if not is_retried(error) or attempt == _ATTEMPTS:
                    raise
                log.info("request %s met another change and is retried (%d)", request.id, attempt)
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def begin(
        self, viewer: Viewer = NOBODY, *, now: dt.datetime, request: RequestInfo
    ) -> AsyncIterator[Work]:
        """A work whose transaction commits if the block succeeds, and rolls back otherwise.

        One attempt: prefer `run`.
        """
        despite: list[Act[None]] = []
        try:
            with lost_races():
                async with self.database.transaction() as transaction:
                    work = Work(transaction, viewer, now, request, after_refusal=despite)
                    yield work
                    await work.write_events()
        except Failure:
            for act in despite:
                await self.run(act, now=now, request=request)
            raise
        await self._finish(work)

    async def single(
        self, act: Act[T], viewer: Viewer, *, now: dt.datetime, request: RequestInfo
    ) -> T:
        """What `act` returns, which makes one statement; it is committed with it. The work has no
        session.
        """
        work = Work(self.database.single, viewer, now, request)
        with lost_races():
            done = await act(work)
        await self._finish(work)
        return done

    async def _finish(self, work: Work) -> None:
        """What follows a commit. The change is done, so a failure here is logged and no more."""
        steps = list(work.after_commit)
        if work.recorded:
            news = Announcement(projects=work.touched_projects, users=work.touched_users)
            steps.append(partial(self.bus.announce, news))
        if work.enqueued:
            steps.append(partial(self.bus.publish, JOBS, {}))
        for step in steps:
            try:
                waiting = step()
                if isawaitable(waiting):
                    await waiting
            except Exception:
                log.exception("request %s is committed; a step after it failed", work.request.id)


def is_retried(error: DBAPIError) -> bool:
    """Whether the same transaction, run again, is likely to succeed."""
    return getattr(error.orig, "sqlstate", None) in _RETRIED


def archived(path: Sequence[str | int] = ("id",)) -> Failure:
    """The failure of anything that fails because its project is archived."""
    return Failure(
        "The project is archived and therefore read-only. Unarchive it first.",
        path=path,
        code=ErrorCode.PROJECT_ARCHIVED,
    )


def demand_right(
    model: type[Base], verb: str, *, allowed: Any, held: Any, path: Sequence[str | int]
) -> None:
    """Raise unless a right is `allowed`: `PROJECT_ARCHIVED` if it would be `held` in a project that
    is not archived, otherwise `FORBIDDEN`.
    """
    if allowed:
        return
    if held:
        raise archived(path)
    noun = access.rule_of(model).noun
    raise Forbidden(f"You can see this {noun} but cannot {verb} it.", path=path)


# What `Work.event` returns; PostgreSQL sets the others.
EVENT_COLUMNS = tuple(
    column.key for column in models.Event.__table__.columns if column.key not in {"position", "xid"}
)
_RECORD = Statement(
    insert(models.Event)
    .from_select(EVENT_COLUMNS, select(*given_rows(models.Event, *EVENT_COLUMNS).c))
    .returning(models.Event.position)
)

# Building an access rule takes SQLAlchemy two to four milliseconds, more than running it does. So
# the statements of `Work` are built once for each shape of viewer, and get its id as a parameter.


@lru_cache(maxsize=256)
def _of_id(model: Any) -> Statement:
    return Statement(select(model.id).where(model.id == bindparam("id", type_=Uuid())))


@lru_cache(maxsize=256)
def _visible(model: type[M], viewer: Viewer, right: Any) -> Select[Any]:
    rights = () if right is None else (right(viewer, model), right(viewer, model, archived=True))
    query = select(model, *rights).where(
        model.id == bindparam("id"),  # type: ignore[attr-defined]
        access.read(viewer, model),
    )
    return query.execution_options(populate_existing=True)


@lru_cache(maxsize=256)
def _allowed(model: type[Base], viewer: Viewer, right: Any) -> Select[Any, Any]:
    return select(right(viewer, model), right(viewer, model, archived=True)).where(
        model.id == bindparam("id")  # type: ignore[attr-defined]
    )


__all__ = ["Failure", "Transact", "Transactions", "Work", "archived", "demand_right", "is_retried"]
