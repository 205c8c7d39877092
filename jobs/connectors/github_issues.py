"""Issues and comments as tasks and comments of a project, and the state recorded for each.

The recorded state of an issue is what GitHub last said, or was last sent. Only a difference from
that is a change on GitHub and is imported, so a title edited here stays until it is edited there.
Completion is merged three ways: if an issue is open here and was closed there (or the reverse), it
was changed here and is still to be sent; until that has happened, however often it fails, what
GitHub says of it changes nothing here.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select

import texts
from db.models import ExternalLink, Integration, ProjectMember, Task, TaskStatus, User
from domain import rules
from domain.projects.project import demand_editor
from domain.tasks import comment as comments
from domain.tasks import task as tasks
from domain.tasks.task import NewTask
from domain.work import Work
from errors import Failure, NotFound
from jobs.connectors.base import Connection, Denied

ISSUE = "issue"
COMMENT = "comment"
# Besides GitHub's state: the states requested of it and not yet confirmed. If it reports one of
# them later, that may be our own change, and must not undo what is newer here.
ATTEMPTED = "attempted"

# Persistent problems are retried after this time.
_RETRY = dt.timedelta(days=1)
# A word that begins with @ would mention one of our users; an invisible character prevents it.
_AT = re.compile(r"@(?=\w)")
# Prefix of external IDs from before issues were known by GitHub's IDs.
_BY_NUMBER = "#"

Thing = Mapping[str, Any]


async def take_issues(
    people: Mapping[str, UUID],
    asked_at: dt.datetime,
    issues: Sequence[Thing],
    work: Work,
    integration: Integration,
) -> int:
    """Import issues requested at a time of the database's clock; the number of new ones."""
    await _demand_project(work, integration)
    # Pull requests are listed among the issues.
    wanted = [issue for issue in issues if "pull_request" not in issue]
    links = await _links_of(work, integration, wanted)
    news = 0
    for issue in wanted:
        said = said_of(issue)
        link = links.get(str(issue["id"]))
        if link is not None and _told_since(link, issue, asked_at):
            # It comes again, with what was sent to GitHub after this answer.
            news += 1
            continue
        if link is None or link.local_id is None:
            link = link or link_of(work, integration, ISSUE, str(issue["id"]))
            task = await tasks.create(
                work, NewTask(project_id=integration.project_id, **values_of(said, people))
            )
            link.local_id, link.seen = task.id, said
            settle(work, link, open_here=task.status.is_open)
            news += 1
        else:
            news += await _update_task(work, link, said, people)
        if link.url is None:
            link.number = issue["number"]
        link.page_url = issue.get("html_url")
    await work.session.flush()
    return news


async def _update_task(
    work: Work, link: ExternalLink, said: Thing, people: Mapping[str, UUID]
) -> bool:
    """Import the changes of an issue; returns whether there were any."""
    assert link.local_id is not None
    changed = {name: value for name, value in said.items() if link.seen.get(name) != value}
    try:
        task = await work.editable(Task, link.local_id)
    except NotFound:
        # In the trash, or deleted: that was intended. If it is restored, this is made up.
        link.retry_at = work.now if changed else link.retry_at
        return False
    if ATTEMPTED in link.seen and not changed:
        link.seen = without_attempts(link.seen)
    if changed:
        values = values_of(changed, people)
        values.pop("status", None)
        status = merged(task.status, before=link.seen, now=said)
        if status is not None:
            values["status"] = status
        await tasks.update_task(work, task.id, values, None)
        link.seen = dict(said)
    settle(work, link, open_here=task.status.is_open)
    return bool(changed)


async def take_comments(
    asked_at: dt.datetime, found: Sequence[Thing], work: Work, integration: Integration
) -> int:
    """Import comments; the number of new ones."""
    del asked_at
    await _demand_project(work, integration)
    known = await _links(work, integration, COMMENT, [str(one["id"]) for one in found])
    numbers = [int(one["issue_url"].rpartition("/")[2]) for one in found]
    issues = await _by_number(work, integration, numbers)
    news = 0
    for one, number in zip(found, numbers, strict=True):
        said = {"body": comment_text(one)}
        link = known.get(str(one["id"]))
        issue = issues.get(number)
        if issue is None or issue.local_id is None or (link is not None and link.seen == said):
            continue
        try:
            if link is not None and link.local_id is not None:
                await comments.update(work, link.local_id, said["body"], None)
            else:
                made = await comments.create(work, issue.local_id, said["body"])
                link = link or link_of(work, integration, COMMENT, str(one["id"]))
                link.local_id = made.id
        except NotFound:
            # The comment or its task was deleted here.
            continue
        link.seen, link.page_url = said, one.get("html_url")
        link.problem = link.problem_at = link.retry_at = None
        news += 1
    await work.session.flush()
    return news


async def _demand_project(work: Work, integration: Integration) -> None:
    """Otherwise nothing can be imported at all, which is no problem of an issue."""
    try:
        await demand_editor(work, integration.project_id, ())
    except Failure as failure:
        raise Denied(failure.message) from None


# --- what is noted -------------------------------------------------------------------------------


def note_problem(work: Work, link: ExternalLink, reason: str, *, again: bool = True) -> None:
    """Record why an item differs from the other side; `again`: whether to retry it."""
    if link.problem != reason:
        link.problem, link.problem_at = reason, work.now
    link.retry_at = work.now + _RETRY if again else None


def settle(work: Work, link: ExternalLink, *, open_here: bool) -> None:
    """Clear the problem if both sides agree now."""
    if open_here == (link.seen.get("state") == "open"):
        if link.url is None:
            link.retry_at = None
        elif link.problem is not None and link.retry_at is not None:
            # A moved issue is in no list: it is read by itself again, without waiting a day.
            link.retry_at = work.now
        link.problem = link.problem_at = None


def without_attempts(seen: Thing) -> dict[str, Any]:
    """What is recorded of an issue as soon as GitHub's state is known."""
    return {name: value for name, value in seen.items() if name != ATTEMPTED}


async def note_unreadable(
    kind: str, thing: Thing, reason: str, work: Work, integration: Integration
) -> None:
    """Record that an issue or a comment could not be imported."""
    external_id = str(thing["id"])
    links = await (
        _links_of(work, integration, [thing])
        if kind == ISSUE
        else _links(work, integration, kind, [external_id])
    )
    link = links.get(external_id) or link_of(work, integration, kind, external_id)
    if kind == ISSUE and link.url is None:
        number = thing["number"]
        link.number = number if isinstance(number, int) else None
    page_url = thing.get("html_url")
    link.page_url = page_url if isinstance(page_url, str) else None
    note_problem(work, link, reason)
    await work.session.flush()


def _told_since(link: ExternalLink, issue: Thing, asked_at: dt.datetime) -> bool:
    """Whether something was sent to GitHub after it said this. Its servers may lag behind one
    another, and its times are whole seconds, so neither clock alone is enough.
    """
    if link.written_at is not None and link.written_at >= asked_at:
        return True
    older: bool = issue["updated_at"] < link.seen.get("toldAt", "")
    return older


async def _links_of(
    work: Work, integration: Integration, issues: Sequence[Thing]
) -> dict[str, ExternalLink]:
    """Issues, by GitHub's IDs."""
    links = await _links(work, integration, ISSUE, [str(issue["id"]) for issue in issues])
    unknown = {
        issue["number"]: str(issue["id"]) for issue in issues if str(issue["id"]) not in links
    }
    if unknown:
        for number, link in (await _by_number(work, integration, list(unknown))).items():
            if link.external_id.startswith(_BY_NUMBER):
                link.external_id = unknown[number]
                links[link.external_id] = link
    return links


async def _links(
    work: Work, integration: Integration, kind: str, ids: Sequence[str]
) -> dict[str, ExternalLink]:
    """What is recorded of items in this project; records of a deleted integration are adopted."""
    connected = select(Integration.id).where(Integration.id == ExternalLink.integration_id).exists()
    rows = await work.session.scalars(
        select(ExternalLink).where(
            ExternalLink.project_id == integration.project_id,
            ExternalLink.source == source_of(integration),
            ExternalLink.kind == kind,
            ExternalLink.external_id.in_(ids),
            or_(ExternalLink.integration_id == integration.id, ~connected),
        )
    )
    links = {link.external_id: link for link in rows}
    for link in links.values():
        if link.integration_id != integration.id:
            link.integration_id = integration.id
            link.url = link.problem = link.problem_at = link.retry_at = None
    return links


async def _by_number(
    work: Work, integration: Integration, numbers: Sequence[int]
) -> dict[int, ExternalLink]:
    rows = await work.session.scalars(
        select(ExternalLink).where(
            ExternalLink.integration_id == integration.id, ExternalLink.number.in_(numbers)
        )
    )
    return {link.number: link for link in rows if link.number is not None}


def source_of(integration: Integration) -> str:
    """The server that issued the IDs."""
    base: str = integration.settings["baseUrl"]
    return base.lower()


def link_of(work: Work, integration: Integration, kind: str, external_id: str) -> ExternalLink:
    """A new record, without an object of ours."""
    link = ExternalLink(
        id=work.new_id(),
        integration_id=integration.id,
        project_id=integration.project_id,
        source=source_of(integration),
        kind=kind,
        external_id=external_id,
        seen={},
    )
    work.session.add(link)
    return link


# --- values -------------------------------------------------------------------------------------


def said_of(issue: Thing) -> dict[str, Any]:
    """The imported values of an issue, in the form in which they are compared and kept."""
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


def values_of(said: Thing, people: Mapping[str, UUID]) -> dict[str, Any]:
    """The same values of a task."""
    values = {name: said[name] for name in ("title", "description", "tags") if name in said}
    if "assignees" in said:
        known = [people[login] for login in said["assignees"] if login in people]
        if known or not said["assignees"]:
            # If all are unknown here, the assignee stays.
            values["assignee_id"] = known[0] if known else None
    if "state" in said:
        values["status"] = TaskStatus.TODO
        if said["state"] == "closed":
            dropped = said.get("dropped", False)
            values["status"] = TaskStatus.CANCELLED if dropped else TaskStatus.COMPLETED
    return values


def merged(here: TaskStatus, *, before: Thing, now: Thing) -> TaskStatus | None:
    """The status that a task gets from what GitHub says now and said before; None if it stays.

    If it is open here and was closed there, or the reverse, it was changed here.
    """
    was, is_now = values_of(before, {})["status"], values_of(now, {})["status"]
    if here.is_open != was.is_open or now["state"] in before.get(ATTEMPTED, ()):
        return None
    if is_now.is_open != here.is_open or (is_now != was and here == was):
        return is_now  # type: ignore[no-any-return]
    return None


def comment_text(comment: Thing) -> str:
    """The text with its author on GitHub; mentions nobody here."""
    author = (comment.get("user") or {}).get("login", "Somebody")
    body = _AT.sub("@\u2060", _clean(comment.get("body") or "", 9_000, multiline=True))
    return f"**{author}** on GitHub:\n\n{body}"[:10_000]


def _clean(text: str, most: int, *, multiline: bool = False) -> str:
    """Text that satisfies our rules for values, however it was written there."""
    forbidden = texts.FORBIDDEN_IN_LINES if multiline else texts.FORBIDDEN_IN_NAMES
    plain = texts.without_excess(texts.normalized(text.replace("\r\n", "\n")))
    plain = forbidden.sub(" ", plain).strip()
    if texts.is_blank(plain):
        return ""
    return plain if len(plain) <= most else plain[: most - 1].rstrip() + "…"


async def people_of(connection: Connection) -> dict[str, UUID]:
    """Members of the project by their logins on GitHub."""
    people = {one["login"].lower(): UUID(one["userId"]) for one in connection.settings["assignees"]}
    if not people:
        return {}
    async with connection.context.database.session() as session:
        members = set(
            await session.scalars(
                select(User.id)
                .join(ProjectMember, ProjectMember.user_id == User.id)
                .where(
                    ProjectMember.project_id == connection.project_id,
                    User.id.in_(people.values()),
                    User.is_active,
                )
            )
        )
    return {login: user_id for login, user_id in people.items() if user_id in members}
