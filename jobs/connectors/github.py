"""Issues of GitHub (or of a GitHub Enterprise server) as tasks of a project.

What is noted of an issue is what GitHub said of it last. Only what differs from that has changed
there and is brought here, so that a title that was edited here stays until it is edited there. The
same note keeps echoes away: an issue is closed or opened only while GitHub is not known to have it
so already, whoever completed the task.

Lists are read in the order in which things were made. In that order what changes during the reading
moves nothing to another page, where sorted by change it would pull others over to pages that were
read before. The next reading asks for what has changed since this one began, by GitHub's own clock.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
from sqlalchemy import func, select

import texts
from auth import access
from db.models import ExternalLink, Integration, ProjectMember, Task, TaskStatus, User
from domain import addresses, rules
from domain import comment as comments
from domain import task as tasks
from domain.integration import enqueue_tell
from domain.task import NewTask
from domain.work import Work
from errors import NotFound
from jobs.connectors.base import Connection, Denied, Trouble, Wait
from jobs.delivery import asked_wait
from jobs.outgoing import Answer

ISSUE = "issue"
COMMENT = "comment"

PAGE = 100
# Of a page in one transaction, which holds the readers of the log back for as long as it lasts.
_PORTION = 25
_MOST_BYTES = 50_000_000
# Servers of GitHub may be behind one another by so much.
_MARGIN = dt.timedelta(minutes=1)
_PAUSE = dt.timedelta(minutes=1)
_LONGEST_PAUSE = dt.timedelta(hours=2)
# Headers with links are some hundred bytes long; in one of any length the search is quadratic.
_LONGEST_LINK = 4_096
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')
_STAGES = {"issues": "issues", "comments": "issues/comments"}
# A word that begins with @ would mention somebody of ours; an invisible character prevents it.
_AT = re.compile(r"@(?=\w)")

Thing = Mapping[str, Any]


class GitHub:
    """See the module."""

    every: dt.timedelta | None = dt.timedelta(minutes=10)

    def wants(self, settings: dict[str, Any], event: Any) -> str | None:
        """A task was completed, cancelled or opened again; several times are told as one."""
        del settings
        of_task = event.task_id is not None and event.subject_type == Task.__name__
        if of_task and any(change["field"] == "status" for change in event.changes):
            return str(event.task_id)
        return None

    async def sync(self, connection: Connection) -> bool:
        """Bring a page of issues, or of comments after the last page of issues."""
        progress = connection.progress
        stage = progress.get("stage", "issues")
        answer = await _ask(connection, "GET", progress.get("page") or _first(connection, stage))
        things = _parsed(answer)
        if not isinstance(things, list):
            raise Trouble("GitHub's answer is not a list.")
        take = (
            _take_comments
            if stage == "comments"
            else partial(_take_issues, await _people(connection))
        )
        for start in range(0, len(things), _PORTION):
            part = things[start : start + _PORTION]
            await connection.do(partial(take, part))
        started = progress.get("started") or _moment_of(connection, answer)
        following = _next_page(connection, answer)
        reached: dict[str, Any] = {"since": progress.get("since"), "started": started}
        if following is not None:
            reached |= {"stage": stage, "page": following}
        elif stage == "issues" and connection.settings["comments"]:
            reached["stage"] = "comments"
        else:
            reached = {"since": started}
        await connection.do(partial(_note, progress, reached))
        more = "started" in reached
        if not more:
            await connection.do(_queue_untold)
        if more and answer.headers.get("x-ratelimit-remaining") == "0":
            raise _limited(connection, answer)
        return more

    async def tell(
        self, connection: Connection, event_id: UUID | None, task_id: UUID | None
    ) -> None:
        """Close or open the issue, if GitHub does not have it so."""
        del event_id
        async with connection.tools.database.session() as session:
            found = (
                await session.execute(
                    select(
                        ExternalLink.id, ExternalLink.external_id, ExternalLink.seen, Task.status
                    )
                    .join(Task, Task.id == ExternalLink.local_id)
                    .where(
                        ExternalLink.integration_id == connection.id,
                        ExternalLink.kind == ISSUE,
                        Task.id == task_id,
                        Task.deleted_at.is_(None),
                    )
                )
            ).one_or_none()
        if found is None:
            return
        change = _state_of(found.status)
        if found.seen["state"] == change["state"]:
            return
        url = f"{_base(connection)}/issues/{found.external_id}"
        updated = None
        try:
            issue = _parsed(await _ask(connection, "PATCH", url, orjson.dumps(change)))
            updated = issue.get("updated_at") if isinstance(issue, dict) else None
        except _Missing:
            # It was deleted there, or moved to another repository; it is not to be tried for ever.
            pass
        await connection.do(partial(_note_state, found.id, change["state"], updated))


# --- from GitHub to us ---------------------------------------------------------------------------


async def _take_issues(
    people: Mapping[str, UUID], issues: Sequence[Thing], work: Work, integration: Integration
) -> None:
    # Pull requests are listed among the issues.
    wanted = [issue for issue in issues if "pull_request" not in issue]
    links = await _links(work, integration, ISSUE, [str(issue["number"]) for issue in wanted])
    for issue in wanted:
        number = str(issue["number"])
        said = _said(issue)
        link = links.get(number)
        if link is None:
            task = await tasks.create(
                work, NewTask(project_id=integration.project_id, **_values(said, people))
            )
            _link(work, integration, ISSUE, number, local_id=task.id, seen=said)
            continue
        if issue["updated_at"] < link.seen.get("toldAt", ""):
            # The list was made before GitHub was told of something; it comes again with that.
            continue
        changed = {name: value for name, value in said.items() if link.seen.get(name) != value}
        if changed:
            await _update_task(work, link, changed, people)
            link.seen = said
    await work.session.flush()


async def _update_task(
    work: Work, link: ExternalLink, changed: Thing, people: Mapping[str, UUID]
) -> None:
    try:
        task = await work.editable(Task, link.local_id)
    except NotFound:
        # In the trash, or gone for good: that was meant.
        return
    values = _values(changed, people)
    status = values.get("status")
    if status is not None and status.is_open == task.status.is_open:
        # It is open, or not, as GitHub has it; in progress is open as well.
        del values["status"]
    await tasks.update_task(work, task.id, values, None)


async def _take_comments(found: Sequence[Thing], work: Work, integration: Integration) -> None:
    known = await _links(work, integration, COMMENT, [str(one["id"]) for one in found])
    numbers = [one["issue_url"].rpartition("/")[2] for one in found]
    issues = await _links(work, integration, ISSUE, numbers)
    for one, number in zip(found, numbers, strict=True):
        said = {"body": _comment_text(one)}
        link = known.get(str(one["id"]))
        try:
            if link is not None and link.seen != said:
                await comments.update(work, link.local_id, said["body"], None)
                link.seen = said
            elif link is None and number in issues:
                made = await comments.create(work, issues[number].local_id, said["body"])
                _link(work, integration, COMMENT, str(one["id"]), local_id=made.id, seen=said)
        except NotFound:
            # The comment or its task was deleted here.
            continue
    await work.session.flush()


def _said(issue: Thing) -> dict[str, Any]:
    """What is brought of an issue, in the form in which it is compared and kept."""
    labels = [one["name"] if isinstance(one, dict) else one for one in issue.get("labels") or ()]
    tags: dict[str, str] = {}
    for label in labels:
        tag = _clean(str(label), 50)
        if tag:
            tags.setdefault(rules.tag_key(tag), tag)
    return {
        "title": _clean(issue["title"], 200) or f"Issue {issue['number']}",
        "description": _clean(issue.get("body") or "", 10_000, multiline=True) or None,
        "tags": list(tags.values())[:20],
        "assignees": [one["login"].lower() for one in issue.get("assignees") or ()],
        "state": issue["state"],
        "dropped": issue["state"] == "closed" and issue.get("state_reason") == "not_planned",
    }


def _values(said: Thing, people: Mapping[str, UUID]) -> dict[str, Any]:
    """The same as a task has it."""
    values = {name: said[name] for name in ("title", "description", "tags") if name in said}
    if "assignees" in said:
        known = [people[login] for login in said["assignees"] if login in people]
        if known or not said["assignees"]:
            # Where all are strangers here, the assignee stays who it is.
            values["assignee_id"] = known[0] if known else None
    if "state" in said:
        values["status"] = TaskStatus.TODO
        if said["state"] == "closed":
            dropped = said.get("dropped", False)
            values["status"] = TaskStatus.CANCELLED if dropped else TaskStatus.COMPLETED
    return values


def _comment_text(comment: Thing) -> str:
    author = (comment.get("user") or {}).get("login", "Somebody")
    body = _AT.sub("@\u2060", _clean(comment.get("body") or "", 9_000, multiline=True))
    return f"**{author}** on GitHub:\n\n{body}"[:10_000]


def _clean(text: str, most: int, *, multiline: bool = False) -> str:
    """Text that the rules for values take, however it was written there."""
    forbidden = texts.FORBIDDEN_IN_LINES if multiline else texts.FORBIDDEN_IN_NAMES
    plain = texts.without_excess(texts.normalized(text.replace("\r\n", "\n")))
    plain = forbidden.sub(" ", plain).strip()
    if texts.is_blank(plain):
        return ""
    return plain if len(plain) <= most else plain[: most - 1].rstrip() + "…"


async def _people(connection: Connection) -> dict[str, UUID]:
    """Members of the project by their logins on GitHub."""
    logins = {
        one["username"].lower(): one["login"].lower() for one in connection.settings["assignees"]
    }
    if not logins:
        return {}
    async with connection.tools.database.session() as session:
        rows = await session.execute(
            select(func.lower(User.username), User.id)
            .join(ProjectMember, ProjectMember.user_id == User.id)
            .where(
                ProjectMember.project_id == connection.project_id,
                func.lower(User.username).in_(logins),
                User.is_active,
            )
        )
        return {logins[username]: id_ for username, id_ in rows}


# --- what is noted -------------------------------------------------------------------------------


async def _links(
    work: Work, integration: Integration, kind: str, ids: Sequence[str]
) -> dict[str, ExternalLink]:
    rows = await work.session.scalars(
        select(ExternalLink).where(
            ExternalLink.integration_id == integration.id,
            ExternalLink.kind == kind,
            ExternalLink.external_id.in_(ids),
        )
    )
    return {link.external_id: link for link in rows}


def _link(
    work: Work, integration: Integration, kind: str, external_id: str, *, local_id: UUID, seen: Any
) -> None:
    work.session.add(
        ExternalLink(
            id=work.new_id(),
            integration_id=integration.id,
            kind=kind,
            external_id=external_id,
            local_id=local_id,
            seen=seen,
        )
    )


async def _note(before: Any, reached: Any, _work: Work, integration: Integration) -> None:
    # Unless it was set back meanwhile, or somebody else is at it as well.
    if integration.progress == before:
        integration.progress = reached


async def _note_state(
    link_id: UUID, state: str, updated: str | None, work: Work, _integration: Integration
) -> None:
    link = await work.session.get_one(ExternalLink, link_id)
    told = {} if updated is None else {"toldAt": updated}
    link.seen = {**link.seen, "state": state, **told}


async def _queue_untold(work: Work, integration: Integration) -> None:
    """Queue what GitHub should have been told and was not, while the integration was paused, or had
    failed. What has changed on both sides is by now as GitHub has it.
    """
    known_open = ExternalLink.seen["state"].astext == "open"
    different = (
        select(Task.id)
        .join(ExternalLink, ExternalLink.local_id == Task.id)
        .where(
            ExternalLink.integration_id == integration.id,
            ExternalLink.kind == ISSUE,
            known_open != (Task.status < TaskStatus.COMPLETED),
            access.read(work.viewer, Task),
        )
    )
    for task_id in list(await work.session.scalars(different, work.viewer.params)):
        await enqueue_tell(work, integration.id, str(task_id), event_id=None, task_id=task_id)


# --- requests ------------------------------------------------------------------------------------


class _Missing(Denied):
    """404 or 410."""


def _state_of(status: TaskStatus) -> dict[str, str]:
    if status.is_open:
        return {"state": "open"}
    reason = "completed" if status is TaskStatus.COMPLETED else "not_planned"
    return {"state": "closed", "state_reason": reason}


def _base(connection: Connection) -> str:
    settings = connection.settings
    return f"{settings['baseUrl']}/repos/{settings['repository']}"


def _first(connection: Connection, stage: str) -> str:
    query = {"sort": "created", "direction": "asc", "per_page": str(PAGE)}
    if stage == "issues":
        query["state"] = "all"
    since = connection.progress.get("since")
    if since is not None:
        query["since"] = since
    return f"{_base(connection)}/{_STAGES[stage]}?{urlencode(query)}"


def _next_page(connection: Connection, answer: Answer) -> str | None:
    """The next page, which must be on the same server: the token goes there."""
    found = _NEXT.search(answer.headers.get("link", "")[:_LONGEST_LINK])
    if found is None:
        return None
    if _server(found[1]) != _server(connection.settings["baseUrl"]):
        raise Denied("The next page of the list is said to be on another server.")
    return found[1]


def _server(url: str) -> tuple[str, str]:
    try:
        target = addresses.parse(url)
    except addresses.Refused as refused:
        raise Denied(str(refused)) from None
    return target.scheme, target.authority


def _moment_of(connection: Connection, answer: Answer) -> str:
    """When the answer was made, by GitHub's clock."""
    try:
        moment = parsedate_to_datetime(answer.headers.get("date", "")).astimezone(dt.UTC)
    except ValueError:
        moment = connection.tools.clock()
    return (moment - _MARGIN).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _ask(connection: Connection, method: str, url: str, body: bytes = b"") -> Answer:
    """An answer with a status from 200 to 299; else `Denied`, `Wait` or `Trouble`."""
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {connection.credentials}",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    if body:
        headers["Content-Type"] = "application/json"
    answer = await connection.request(method, url, headers, body, most_bytes=_MOST_BYTES)
    status = answer.status
    if 200 <= status < 300:
        return answer
    limited = (
        answer.headers.get("x-ratelimit-remaining") == "0"
        or "retry-after" in answer.headers
        or b"rate limit" in answer.body[:1_000].lower()
    )
    if status == 429 or (status == 403 and limited):
        raise _limited(connection, answer)
    if status == 401:
        raise Denied("GitHub does not take the token: it is wrong, or has expired.")
    if status == 403:
        raise Denied("The token may not do this at GitHub; it needs to read and write issues.")
    if status in {404, 410}:
        raise _Missing("There is no such repository, or the token may not see its issues.")
    if 300 <= status < 400:
        raise Denied("The repository has another name now; connect it under that.")
    raise Trouble(f"GitHub answered {status}.")


def _limited(connection: Connection, answer: Answer) -> Wait:
    now = connection.tools.clock()
    wait = asked_wait(answer, now)
    if wait is None:
        reset = answer.headers.get("x-ratelimit-reset", "")
        known = reset.isascii() and reset.isdigit() and len(reset) < 12
        wait = dt.datetime.fromtimestamp(int(reset), dt.UTC) - now if known else _PAUSE
    return Wait(min(wait, _LONGEST_PAUSE), "GitHub takes no more requests for a while.")


def _parsed(answer: Answer) -> Any:
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        raise Trouble("GitHub's answer is not JSON, or too long.") from None
