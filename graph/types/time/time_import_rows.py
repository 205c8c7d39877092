"""Turns a row of an imported file into a new time entry: user, project, task and tags."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import func, or_, select, tuple_

from auth import access
from db import models
from domain.time import export_csv, import_values
from domain.time import time_entry as domain
from domain.time.import_csv import Layout, Row
from domain.time.import_values import Notice, NoticeCode
from domain.timezones import Zone
from domain.work import Work
from errors import BadInput, NotFound, check
from graph.core import ids

_KEY = re.compile(r"([A-Z][A-Z0-9]{1,9})-([1-9][0-9]{0,8})")
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(slots=True)
class Names:
    """What the names in the file refer to, as far as the viewer can see it; all in lower case."""

    # The viewer's own names and address.
    user: set[str]
    # Whether all rows belong to one person.
    one_person: bool
    projects: dict[str, UUID] = field(default_factory=dict)
    named_projects: dict[str, set[UUID]] = field(default_factory=dict)
    tasks: dict[tuple[str, int], UUID] = field(default_factory=dict)
    # Each with its project.
    titled_tasks: dict[str, set[tuple[UUID | None, UUID]]] = field(default_factory=dict)


async def names_of(work: Work, rows: Sequence[Row]) -> Names:
    user = models.User
    mine = await work.session.execute(
        select(user.username, user.full_name, user.email).where(user.id == work.viewer.require())
    )
    people = {_person(row) for row in rows} - {()}
    known = Names({name.lower() for name in mine.one() if name}, len(people) < 2)
    await _find_projects(work, known, {name for row in rows if (name := row.get("project"))})
    await _find_tasks(
        work,
        known,
        {name for row in rows if (name := row.get("task") or row.get("activity"))},
    )
    return known


def _person(row: Row) -> tuple[str, ...]:
    return tuple(text.lower() for name in ("email", "username", "user") if (text := row.get(name)))


async def _find_projects(work: Work, known: Names, names: Collection[str]) -> None:
    project = models.Project
    if not names:
        return
    wanted = {name.lower() for name in names}
    rows = await work.session.execute(
        select(project.id, project.key, project.name).where(
            or_(
                func.lower(project.key).in_(wanted),
                func.lower(project.name).in_(wanted),
                project.name.in_(names),
            ),
            access.read(work.viewer, project),
        )
    )
    for id_, key, name in rows:
        known.projects[key.lower()] = id_
        known.named_projects.setdefault(name.lower(), set()).add(id_)


async def _find_tasks(work: Work, known: Names, names: Collection[str]) -> None:
    project, task = models.Project, models.Task
    matches = [match for name in names if (match := _KEY.fullmatch(name))]
    if matches:
        wanted = {(match[1], int(match[2])) for match in matches}
        rows = await work.session.execute(
            select(project.key, task.number, task.id)
            .join(project, project.id == task.project_id)
            .where(
                tuple_(project.key, task.number).in_(wanted),
                access.read(work.viewer, task),
                # Only those who see the project know its key.
                access.read(work.viewer, project),
            )
        )
        known.tasks = {(key, number): id_ for key, number, id_ in rows if number is not None}
    if names:
        titled = await work.session.execute(
            select(task.title, task.project_id, task.id).where(
                or_(task.title.in_(names), func.lower(task.title).in_({n.lower() for n in names})),
                access.read(work.viewer, task),
            )
        )
        for title, project_id, id_ in titled:
            known.titled_tasks.setdefault(title.lower(), set()).add((project_id, id_))


@dataclass(frozen=True, slots=True)
class Reading:
    """How the rows of one import are read."""

    known: Names
    zone: Zone
    day_first: bool | None
    allow_over_24_hours: bool

    def entry(self, row: Row) -> tuple[domain.NewTimeEntry, list[Notice]]:
        """The entry of a row, and its notices."""
        if row.fault is not None:
            raise BadInput(row.fault)
        import_values.demand_short(row)
        notices = [*_of_user(row, self.known)]
        times = import_values.times(row, self.zone, day_first=self.day_first)
        notices += times.notices
        project_id = _project(row, self.known)
        cell = row.get("tags") or ""
        own = row.layout is Layout.TASKLOOM
        tags = export_csv.tags_of(cell) if own else _listed(cell)
        task_id = None
        if (activity := row.get("activity")) is not None:
            task_id = _activity(activity, project_id, self.known)
            if task_id is None:
                tags.append(activity)
                notices.append(
                    Notice(
                        NoticeCode.ACTIVITY_AS_TAG,
                        row.header("activity"),
                        f"“{activity}” is not the title of exactly one of your tasks in the "
                        "project; it was imported as a tag.",
                    )
                )
        elif (text := row.get("task")) is not None:
            task_id = _task(row, text, project_id, self.known)
        entry = domain.NewTimeEntry(
            times.time,
            project_id=project_id,
            task_id=task_id,
            description=row.get("description"),
            is_billable=_flag(row),
            tags=tags,
            id=ids.decode_new(models.TimeEntry, row.get("id"), row.path("id")),
            allow_over_24_hours=self.allow_over_24_hours,
        )
        return entry, notices


def _listed(cell: str) -> list[str]:
    return [tag for part in cell.split(",") if (tag := part.strip())]


@check(())
def _of_user(row: Row, known: Names) -> Sequence[Notice]:
    """Raise if a row belongs to someone else. Another program can know the viewer by a different
    name: if its file has only one person, that person is the viewer.
    """
    people = _person(row)
    if not people or known.user & set(people):
        return []
    column = "email" if row.get("email") else "username" if row.get("username") else "user"
    name = row.get(column)
    if row.layout is Layout.TASKLOOM or not known.one_person:
        raise BadInput(
            f"This row is the time of {name}, not yours. Import only your own time.",
            path=row.path(column),
        )
    message = f"All rows belong to {name}; they were imported as yours."
    return [Notice(NoticeCode.OTHER_USER, row.header(column), message)]


@check()
def _project(row: Row, known: Names) -> UUID | None:
    text = row.get("project")
    if text is None:
        return None
    by_key = known.projects.get(text.lower())
    if by_key is not None:
        return by_key
    found = known.named_projects.get(text.lower(), set())
    if not found:
        raise NotFound("project", path=row.path("project"))
    if len(found) > 1:
        raise BadInput(
            f"{len(found)} projects have the name “{text}”; use the project's key.",
            path=row.path("project"),
        )
    return next(iter(found))


@check()
def _task(row: Row, text: str, project_id: UUID | None, known: Names) -> UUID | None:
    match = _KEY.fullmatch(text)
    if match is not None and (match[1], int(match[2])) in known.tasks:
        return known.tasks[match[1], int(match[2])]
    found = _titled(text, project_id, known)
    if len(found) > 1:
        raise BadInput(
            f"{len(found)} tasks have the title “{text}”; use the task's key or ID.",
            path=row.path("task"),
        )
    if found:
        return found[0]
    if text.startswith("task_"):
        return ids.decode_only(models.Task, text, row.path("task"))
    raise NotFound("task", path=row.path("task"))


def _activity(text: str, project_id: UUID | None, known: Names) -> UUID | None:
    found = _titled(text, project_id, known)
    return found[0] if len(found) == 1 else None


def _titled(text: str, project_id: UUID | None, known: Names) -> list[UUID]:
    """Tasks with a title, limited to the row's project if it names one."""
    return [
        id_
        for place, id_ in known.titled_tasks.get(text.lower(), ())
        if project_id in {None, place}
    ]


@check(instead=False)
def _flag(row: Row) -> bool:
    text = row.get("billable")
    if text is None:
        return False
    try:
        return _WORDS[text.lower()]
    except KeyError:
        raise BadInput(
            f"billable must be one of {', '.join(_WORDS)}.", path=row.path("billable")
        ) from None
