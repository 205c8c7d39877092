"""Issues of GitHub (or of a GitHub Enterprise server) as tasks of a project.

A run checks the repository's current name, reads the issues and then the comments that have
changed, and reads again the single issues that had a problem or were moved to another repository. A
problem of one issue is recorded at that issue and stops nothing else: only a refusal of the whole
repository, or of the token, ends the integration.

Lists are read in order of creation. In that order, a change during the reading moves nothing to
another page, while an order by change would pull items over to pages already read. The next reading
asks for changes since the start of this one, by GitHub's own clock. If nothing had changed, it
repeats the same request with the ETag: a 304 is free.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
from sqlalchemy import func, or_, select

from auth import access
from db.models import ExternalLink, Integration, Task, TaskStatus
from domain.integrations.integration import enqueue_send, identify
from domain.work import Work
from errors import Failure
from jobs.connectors.base import Connection, Denied, Trouble, Wait
from jobs.connectors.github_api import GONE, Refusal, Reply, ask, moment_of, next_page, used_up
from jobs.connectors.github_issues import (
    ATTEMPTED,
    COMMENT,
    ISSUE,
    Thing,
    note_problem,
    note_unreadable,
    people_of,
    settle,
    take_comments,
    take_issues,
    without_attempts,
)

log = logging.getLogger("taskloom.integrations")

PAGE = 100
_EVERY = dt.timedelta(minutes=10)
# Items per transaction, which holds the readers of the log back as long as it lasts.
_CHUNK_SIZE = 25
# GitHub's servers may lag behind one another by this much.
_MARGIN = dt.timedelta(minutes=1)
_ISSUES, _COMMENTS, _AGAIN = "issues", "comments", "again"
_PATHS = {_ISSUES: "issues", _COMMENTS: "issues/comments"}
# Statuses that refuse a whole repository. All others are retried.
_REFUSED = frozenset({403, 404, 410, 451})
# What a single item from GitHub can raise.
_OF_ONE_THING = (Failure, KeyError, TypeError, AttributeError, ValueError)

Take = Callable[[Sequence[Thing], Work, Integration], Awaitable[int]]


class GitHub:
    """See the module."""

    every: dt.timedelta | None = _EVERY

    def wants(self, settings: dict[str, Any], event: Any) -> str | None:
        """A task was completed, cancelled or opened again; several changes are sent as one."""
        del settings
        of_task = event.task_id is not None and event.subject_type == Task.__name__
        if of_task and any(change["field"] == "status" for change in event.changes):
            return str(event.task_id)
        return None

    async def sync(self, connection: Connection) -> bool:
        """Fetch a page of issues, after the last one of comments, then what is to be read again."""
        progress = connection.progress
        if "stage" not in progress and await _renamed(connection):
            return True
        stage = progress.get("stage", _ISSUES)
        if stage == _AGAIN:
            return await _read_again(connection)
        etags = progress.get("etags", {})
        asked_at = await _now(connection)
        reply = await _list(connection, stage, progress.get("page"), etags.get(stage))
        quiet = progress.get("quiet", True)
        following = None
        if not reply.unchanged:
            things = reply.parsed()
            if not isinstance(things, list):
                raise Trouble("GitHub's answer is not a list.")
            take = await _take_of(connection, stage, asked_at)
            news = 0
            for start in range(0, len(things), _CHUNK_SIZE):
                news += await _bring(connection, stage, take, things[start : start + _CHUNK_SIZE])
            following = next_page(connection, reply.answer)
            quiet = quiet and not news and following is None and "page" not in progress
            etags = {**etags, stage: reply.answer.headers.get("etag")}
        reached = {
            "since": progress.get("since"),
            "started": progress.get("started") or _started(connection, reply),
            "etags": etags,
            "quiet": quiet,
        }
        if following is not None:
            reached |= {"stage": stage, "page": following}
        elif stage == _ISSUES and connection.settings["hasComments"]:
            reached["stage"] = _COMMENTS
        else:
            reached["stage"] = _AGAIN
        await connection.do(partial(_note, progress, reached))
        wait = used_up(connection, reply.answer)
        if wait is not None:
            raise wait
        return True

    async def send(
        self, connection: Connection, event_id: UUID | None, task_id: UUID | None
    ) -> None:
        """Close or open the issue, unless GitHub has it so already. Nothing is sent of a task that
        the owner cannot see: it may have left the project.
        """
        del event_id
        async with connection.context.database.session() as session:
            found = (
                await session.execute(
                    select(ExternalLink, Task.status)
                    .join(Task, Task.id == ExternalLink.local_id)
                    .where(
                        ExternalLink.integration_id == connection.id,
                        ExternalLink.kind == ISSUE,
                        Task.id == task_id,
                        access.read(connection.owner, Task),
                    )
                )
            ).one_or_none()
        if found is None:
            return
        link, status = found
        change = _state_of(status)
        if link.seen["state"] == change["state"] and ATTEMPTED not in link.seen:
            await connection.do(partial(_note_alike, link.id))
            return
        before = link.seen.get(ATTEMPTED, [])
        attempted = sorted({*before, change["state"]})
        await connection.do(partial(_note_attempted, link.id, attempted))
        try:
            reply = await ask(connection, "PATCH", _url_of(connection, link), orjson.dumps(change))
            reply.parsed()
        except Refusal as refusal:
            await connection.do(partial(_note_attempted, link.id, before))
            await connection.do(partial(_note_refusal, link.id, refusal))
            return
        except (Denied, Wait):
            await connection.do(partial(_note_attempted, link.id, before))
            raise
        except Trouble as trouble:
            # Checked again: what was read meanwhile may have ended it.
            await connection.do(partial(_note_attempted, link.id, attempted))
            await connection.do(partial(_note_trouble, link.id, str(trouble)))
            raise
        await connection.do(partial(_note_sent, link.id, change, reply))


# --- the repository ------------------------------------------------------------------------------


async def _renamed(connection: Connection) -> bool:
    """Whether the repository has been renamed; the settings get the new name."""
    try:
        found = (await ask(connection, "GET", _base(connection))).parsed()
    except Refusal as refusal:
        if refusal.status not in _REFUSED:
            raise
        # Some servers show only lists of issues: if the list is refused, too, the integration ends.
        found = None
    if not isinstance(found, dict) or not found.keys() >= {"id", "full_name"}:
        found = None
    known = connection.external_id
    if known is not None and (found is None or str(found["id"]) != known):
        # Deleted, or renamed without a redirect, because another repository has the name now.
        try:
            url = f"{connection.settings['baseUrl']}/repositories/{known}"
            found = (await ask(connection, "GET", url)).parsed()
        except Refusal as refusal:
            raise _no_repository(refusal) from None
    if found is None:
        return False
    id_, name = str(found["id"]), str(found["full_name"])
    before: str = connection.settings["repository"]
    if id_ == known and name.lower() == before.lower():
        return False

    async def note(work: Work, integration: Integration) -> str | None:
        return await identify(work, integration, id_, name)

    taken = await connection.do(note)
    if taken is not None:
        raise Denied(taken)
    return name.lower() != before.lower()


def _no_repository(refusal: Refusal) -> Denied:
    if refusal.status == GONE:
        return Denied("The repository has no issues: they are disabled, or it was deleted.")
    if refusal.status in {403, 451}:
        return Denied(
            "The token lacks permission on GitHub; it needs read and write access to issues."
        )
    return Denied("The repository does not exist, or the token cannot read its issues.")


async def _list(connection: Connection, stage: str, page: str | None, etag: str | None) -> Reply:
    try:
        if page is not None:
            return await ask(connection, "GET", page)
        return await ask(connection, "GET", _first(connection, stage), etag=etag)
    except Refusal as refusal:
        if page is not None:
            # The list may have another address now.
            restart = {"since": connection.progress.get("since")}
            await connection.do(partial(_note, connection.progress, restart))
            raise Trouble(
                "A page of GitHub's list is gone; it is read from the beginning."
            ) from None
        if refusal.status in _REFUSED:
            raise _no_repository(refusal) from None
        raise


def _base(connection: Connection) -> str:
    settings = connection.settings
    return f"{settings['baseUrl']}/repos/{settings['repository']}"


def _first(connection: Connection, stage: str) -> str:
    query = {"sort": "created", "direction": "asc", "per_page": str(PAGE)}
    if stage == _ISSUES:
        query["state"] = "all"
    since = connection.progress.get("since")
    if since is not None:
        query["since"] = since
    return f"{_base(connection)}/{_PATHS[stage]}?{urlencode(query)}"


def _started(connection: Connection, reply: Reply) -> str:
    moment = moment_of(connection, reply.answer) - _MARGIN
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


async def _note(before: Any, reached: Any, _work: Work, integration: Integration) -> None:
    # Unless it was reset meanwhile, or another worker is active as well.
    if integration.progress == before:
        integration.progress = reached


# --- from GitHub to us ---------------------------------------------------------------------------


async def _take_of(connection: Connection, stage: str, asked_at: dt.datetime) -> Take:
    if stage == _COMMENTS:
        return partial(take_comments, asked_at)
    return partial(take_issues, await people_of(connection), asked_at)


async def _bring(connection: Connection, stage: str, take: Take, things: Sequence[Any]) -> int:
    """Import items in one transaction; if one of them fails, each in its own, recording what is
    wrong with that one.
    """
    try:
        return await connection.do(partial(take, things))
    except _OF_ONE_THING as error:
        if len(things) > 1:
            return sum([await _bring(connection, stage, take, [one]) for one in things])
        if isinstance(error, Failure):
            reason = error.message
        else:
            log.warning("an item from GitHub could not be read", exc_info=True)
            reason = "GitHub's answer could not be read."
    kind = COMMENT if stage == _COMMENTS else ISSUE
    try:
        await connection.do(partial(note_unreadable, kind, things[0], reason))
    except _OF_ONE_THING:
        log.warning("an item from GitHub has no id")
    return 1


async def _read_again(connection: Connection) -> bool:
    """Read some single items that are due; returns whether there may be more."""
    async with connection.context.database.session() as session:
        due = await session.scalars(
            select(ExternalLink)
            .outerjoin(Task, Task.id == ExternalLink.local_id)
            .where(
                ExternalLink.integration_id == connection.id,
                ExternalLink.retry_at <= connection.context.clock(),
                # Not while its task is in the trash.
                or_(
                    ExternalLink.kind == COMMENT,
                    ExternalLink.local_id.is_(None),
                    Task.deleted_at.is_(None) & Task.id.is_not(None),
                ),
            )
            .order_by(ExternalLink.retry_at)
            .limit(_CHUNK_SIZE)
        )
        links = list(due)
    for link in links:
        await _read_one(connection, link)
    if links:
        return True
    await connection.do(_queue_unsent)
    progress = connection.progress
    quiet = progress.get("quiet", False)
    reached = (
        {"since": progress.get("since"), "etags": progress["etags"]}
        if quiet
        else {"since": progress["started"]}
    )
    await connection.do(partial(_note, progress, reached))
    return False


async def _read_one(connection: Connection, link: ExternalLink) -> None:
    """Read one issue or comment, and queue what is still to be sent of it."""
    asked_at = await _now(connection)
    try:
        reply = await ask(connection, "GET", _url_of(connection, link))
        thing = reply.parsed()
    except Refusal as refusal:
        await connection.do(partial(_note_refusal, link.id, refusal))
        return
    except (Denied, Wait):
        raise
    except Trouble as trouble:
        await connection.do(partial(_note_trouble, link.id, str(trouble)))
        return
    stage = _ISSUES if link.kind == ISSUE else _COMMENTS
    if stage == _ISSUES:
        await connection.do(partial(_note_place, link.id, reply))
    await _bring(connection, stage, await _take_of(connection, stage, asked_at), [thing])
    await connection.do(partial(_note_read, link.id))


async def _now(connection: Connection) -> dt.datetime:
    """By the clock of the database."""
    async with connection.context.database.session() as session:
        moment: dt.datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
        return moment


# --- from us to GitHub ---------------------------------------------------------------------------


def _state_of(status: TaskStatus) -> dict[str, str]:
    if status.is_open:
        return {"state": "open"}
    reason = "completed" if status is TaskStatus.COMPLETED else "not_planned"
    return {"state": "closed", "state_reason": reason}


def _url_of(connection: Connection, link: ExternalLink) -> str:
    if link.kind == COMMENT:
        return f"{_base(connection)}/{_PATHS[_COMMENTS]}/{link.external_id}"
    return link.url or f"{_base(connection)}/{_PATHS[_ISSUES]}/{link.number}"


async def _note_alike(link_id: UUID, work: Work, _integration: Integration) -> None:
    """Nothing is left to send, so an earlier failure is no problem."""
    link = await work.session.get_one(ExternalLink, link_id)
    task = None if link.local_id is None else await work.session.get(Task, link.local_id)
    if task is not None:
        settle(work, link, open_here=task.status.is_open)


async def _note_sent(
    link_id: UUID, change: Thing, reply: Reply, work: Work, integration: Integration
) -> None:
    link = await work.session.get_one(ExternalLink, link_id)
    await _note_place(link_id, reply, work, integration)
    issue = reply.parsed()
    said = issue if isinstance(issue, dict) else {}
    link.seen = {
        **without_attempts(link.seen),
        "state": change["state"],
        "dropped": change.get("state_reason") == "not_planned",
        "toldAt": said.get("updated_at") or link.seen.get("toldAt", ""),
    }
    link.written_at = (await work.session.execute(select(func.clock_timestamp()))).scalar_one()
    settle(work, link, open_here=change["state"] == "open")


async def _note_attempted(
    link_id: UUID, states: Sequence[str], work: Work, _integration: Integration
) -> None:
    """Record the states that GitHub was asked for, and may have without our knowing."""
    link = await work.session.get_one(ExternalLink, link_id)
    link.seen = without_attempts(link.seen) | ({ATTEMPTED: list(states)} if states else {})
    link.written_at = (await work.session.execute(select(func.clock_timestamp()))).scalar_one()


async def _note_refusal(
    link_id: UUID, refusal: Refusal, work: Work, _integration: Integration
) -> None:
    link = await work.session.get_one(ExternalLink, link_id)
    gone = refusal.status == GONE
    reasons = {
        403: "GitHub rejected this: the token cannot write to the issue, or the issue is locked.",
        404: "GitHub reports that the issue does not exist, or that the token cannot change it.",
        GONE: "The issue was deleted on GitHub.",
        422: "GitHub rejected the change as invalid.",
    }
    note_problem(work, link, reasons.get(refusal.status, str(refusal)), again=not gone)


async def _note_trouble(link_id: UUID, reason: str, work: Work, _integration: Integration) -> None:
    link = await work.session.get_one(ExternalLink, link_id)
    note_problem(work, link, reason)


async def _note_place(link_id: UUID, reply: Reply, work: Work, _integration: Integration) -> None:
    """Record where an issue is now, if the answer came from another repository."""
    link = await work.session.get_one(ExternalLink, link_id)
    issue = reply.parsed()
    id_ = str(issue["id"]) if isinstance(issue, dict) and "id" in issue else link.external_id
    if id_ == link.external_id or link.external_id.startswith("#"):
        return
    twin = select(ExternalLink.id).where(
        ExternalLink.project_id == link.project_id,
        ExternalLink.source == link.source,
        ExternalLink.kind == ISSUE,
        ExternalLink.external_id == id_,
    )
    if await work.session.scalar(twin):
        note_problem(work, link, "The issue was moved and has its own task.", again=False)
        return
    link.external_id, link.url, link.number = id_, reply.url, None
    link.retry_at = work.now + _EVERY


async def _note_read(link_id: UUID, work: Work, integration: Integration) -> None:
    """After reading a single item: when to read it next, and what to send."""
    link = await work.session.get_one(ExternalLink, link_id)
    if link.url is not None:
        link.retry_at = work.now + _EVERY
    elif link.problem is None or (link.retry_at is not None and link.retry_at <= work.now):
        link.retry_at = None
    seen = (Task.id == link.local_id, access.read(work.viewer, Task))
    task = await work.session.scalar(select(Task).where(*seen))
    if task is not None and task.status.is_open != (link.seen.get("state") == "open"):
        await enqueue_send(work, integration.id, str(task.id), event_id=None, task_id=task.id)


async def _queue_unsent(work: Work, integration: Integration) -> None:
    """Queue what should have been sent and was not, while the integration was paused or had failed.
    What could not be sent is retried when it is read again.
    """
    known_open = ExternalLink.seen["state"].astext == "open"
    different = (
        select(Task.id)
        .join(ExternalLink, ExternalLink.local_id == Task.id)
        .where(
            ExternalLink.integration_id == integration.id,
            ExternalLink.kind == ISSUE,
            ExternalLink.problem.is_(None),
            known_open != (Task.status < TaskStatus.COMPLETED),
            access.read(work.viewer, Task),
        )
    )
    for task_id in list(await work.session.scalars(different, work.viewer.params)):
        await enqueue_send(work, integration.id, str(task_id), event_id=None, task_id=task_id)
