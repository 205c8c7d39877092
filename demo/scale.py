"""The demo in bulk: dealers who work with Larkspur, with hundreds of tasks each, for benchmarks.

Tables are filled by COPY, in the caller's transaction, so this module must maintain what the domain
maintains otherwise: numbers without gaps, ranks, the root of each subtask, one owner for each
project, folded tags, and an event for everything. Tests compare each of these with the domain. The
same seed and "now" give the same rows.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from db.base import new_id
from db.models import Project, Role, TaskPriority, TaskStatus, User, WeekDay
from demo import comments, tasks
from demo.company import DOMAIN, LOGIN
from demo.outline import Item, parse
from domain import rules
from domain.tasks import ranks
from events.kinds import EventKind

TASKS_PER_PROJECT = 400
USERS_PER_PROJECT = 10
# Ada is a member of one project in this many.
ADAS_SHARE = 4

_MEMBERS = 12
# Tasks have from none to one fewer than this, in turn: three on average.
_COMMENTS = 7
_DAYS = 90
# Rows of one COPY: never all of them in memory.
_PROJECTS_AT_ONCE = 20
# So many lines at most tell how far it is, of making and of storing.
_LINES = 10
_FIRST_KEY = "D1"

_FIRST = [
    "Amara", "Anton", "Beatriz", "Bo", "Carla", "Chidi", "Dana", "Elif", "Emil", "Fatou",
    "Felix", "Gita", "Hugo", "Ida", "Ivo", "Jana", "Joao", "Kaito", "Katya", "Leo", "Lina",
    "Maja", "Marek", "Nadia", "Noor", "Ola", "Otto", "Pia", "Quentin", "Rosa", "Ruben", "Sara",
    "Sami", "Tess", "Theo", "Uma", "Vera", "Viktor", "Wanda", "Yara",
]  # fmt: skip
_LAST = [
    "Adeyemi", "Almeida", "Andersen", "Baker", "Bauer", "Costa", "Dubois", "Eriksen", "Fischer",
    "Garcia", "Haas", "Ivanova", "Jansen", "Kaur", "Kowalski", "Lambert", "Maes", "Nakamura",
    "Novak", "Olsen", "Peeters", "Rossi", "Silva", "Tanaka", "Vermeulen", "Weber",
]  # fmt: skip
_CITIES = [
    "Aarhus", "Antwerp", "Basel", "Bergen", "Bilbao", "Bologna", "Bremen", "Brno", "Cork",
    "Delft", "Denver", "Eindhoven", "Freiburg", "Ghent", "Graz", "Kyoto", "Leuven", "Lille",
    "Lisbon", "Lyon", "Malmö", "Munich", "Nantes", "Odense", "Porto", "Portland", "Turku",
    "Utrecht", "Verona", "Vienna", "Zurich",
]  # fmt: skip
_KINDS = ("Dealer", "Service point", "Test fleet", "City rental")
_DESCRIPTION = (
    "Asked for by the dealer.\n\n**Done when**\n\n- [ ] tried with a loaded bicycle\n"
    "- [ ] dealer told"
)
_ZONES = ("Europe/Brussels", "Europe/Lisbon", "Europe/Helsinki", "America/Denver", "Asia/Tokyo")

_VERSIONED = ("id", "created_at", "updated_at", "version")
_COLUMNS: dict[str, tuple[str, ...]] = {
    "users": (
        *_VERSIONED, "username", "email", "full_name", "password_hash", "pepper_version",
        "password_changed_at", "timezone", "week_start", "locale", "is_active", "is_admin",
    ),
    "projects": (*_VERSIONED, "name", "description", "key", "color", "owner_id", "last_number"),
    "project_members": (*_VERSIONED, "project_id", "user_id", "role"),
    "tasks": (
        *_VERSIONED, "project_id", "number", "title", "description", "status", "priority",
        "due_at", "due_on", "due_timezone", "estimate", "tags", "tag_keys", "position",
        "owner_id", "assignee_id", "parent_id", "root_id", "completed_at",
    ),
    "comments": (*_VERSIONED, "task_id", "author_id", "parent_id", "body"),
    "events": (
        "id", "at", "kind", "actor_id", "request_id", "subject_type", "subject_id", "task_id",
        "project_id", "audience", "changes",
    ),
}  # fmt: skip

# In the order in which they refer to one another.
_OF_PROJECTS = ("projects", "project_members", "tasks", "comments", "events")
# Stored in the order of these columns.
_BY_TIME = {"tasks": "created_at", "comments": "created_at", "events": "at"}

Row = tuple[Any, ...]
Rows = dict[str, list[Row]]


async def make(
    session: AsyncSession, now: dt.datetime, scale: int, progress: Callable[[str], None]
) -> bool:
    """Add `scale` projects and their people to the company. False if that was done before.

    Takes about a second for three projects, and memory for twenty at a time. The rows are made
    project by project, and stored in the order of their time, as in a database in which they were
    made one after the other: newer rows lie beside each other.
    """
    found = await session.scalar(select(Project.id).where(Project.key == _FIRST_KEY))
    if found is not None:
        return False
    ada = (await session.scalars(select(User).where(User.username == LOGIN))).one()
    crowd = _Crowd(now, ada)
    # SQLAlchemy has begun the transaction by now, so the driver works within it.
    connection = await (await session.connection()).get_raw_connection()
    driver: Any = connection.driver_connection
    await _copy(driver, {"users": crowd.rows(scale * USERS_PER_PROJECT)})
    for table in _BY_TIME:
        columns = ", ".join(_COLUMNS[table])
        await driver.execute(
            f"CREATE TEMPORARY TABLE made_{table} ON COMMIT DROP AS "  # noqa: S608 - our own names
            f"SELECT {columns} FROM {table} WITH NO DATA"
        )
    for first in range(1, scale + 1, _PROJECTS_AT_ONCE):
        rows: Rows = {name: [] for name in _OF_PROJECTS}
        last = min(first + _PROJECTS_AT_ONCE - 1, scale)
        for number in range(first, last + 1):
            _Dealer(crowd, number, rows).make()
        await _copy(driver, rows)
        if last * _LINES // scale > (first - 1) * _LINES // scale:
            progress(f"{last * TASKS_PER_PROJECT:,} of {scale * TASKS_PER_PROJECT:,} tasks made")
    await _store(driver, now, progress)
    return True


async def _copy(driver: Any, rows: Rows) -> None:
    for table, records in rows.items():
        into = f"made_{table}" if table in _BY_TIME else table
        await driver.copy_records_to_table(into, records=records, columns=_COLUMNS[table])


async def _store(driver: Any, now: dt.datetime, progress: Callable[[str], None]) -> None:
    for table, column in _BY_TIME.items():
        await driver.execute(f"CREATE INDEX ON made_{table} ({column}); ANALYZE made_{table}")
    begin, part_of_it = now - dt.timedelta(days=_DAYS), dt.timedelta(days=_DAYS) / _LINES
    for part in range(_LINES):
        after = begin + part * part_of_it
        for table, column in _BY_TIME.items():
            columns = ", ".join(_COLUMNS[table])
            await driver.execute(
                f"INSERT INTO {table} ({columns}) SELECT {columns} FROM made_{table} "  # noqa: S608
                f"WHERE {column} > $1 AND {column} <= $2 ORDER BY {column}, id",
                after,
                after + part_of_it,
            )
        progress(f"{_DAYS * (part + 1) // _LINES} of {_DAYS} days stored")


class _Crowd:
    """The people of all dealers. They have the demo's password, as Ada has."""

    def __init__(self, now: dt.datetime, ada: User) -> None:
        self.now = now
        self.ada = ada
        self.random = Random("larkspur dealers")  # noqa: S311 - the same rows every time
        self.ids: list[UUID] = []
        self.titles: Sequence[Item] = [
            item
            for outline in (
                tasks.WORK,
                tasks.CARE,
                tasks.PARTS,
                tasks.SHOP,
            )
            for top in parse(outline)
            for item in top
        ]

    def rows(self, count: int) -> list[Row]:
        return list(self._people(count))

    def _people(self, count: int) -> Iterator[Row]:
        ada = self.ada
        for number in range(1, count + 1):
            at = self.now - dt.timedelta(days=_DAYS) + dt.timedelta(seconds=number)
            first, last = self.random.choice(_FIRST), self.random.choice(_LAST)
            username = f"{first}.{last}.{number}".lower()
            self.ids.append(self.id(at))
            yield (
                self.ids[-1], at, at, 1, username, f"{username}@{DOMAIN}", f"{first} {last}",
                ada.password_hash, ada.pepper_version, at, self.random.choice(_ZONES),
                int(WeekDay.MONDAY), "en", True, False,
            )  # fmt: skip

    def id(self, at: dt.datetime) -> UUID:
        return new_id(at, self.random.getrandbits)


class _Dealer:
    """One project, with its members and tasks, as rows."""

    def __init__(self, crowd: _Crowd, number: int, rows: Rows) -> None:
        self.crowd = crowd
        self.random = crowd.random
        self.number = number
        self.rows = rows
        self.begin = crowd.now - dt.timedelta(days=_DAYS - 1)
        self.id = crowd.id(self.begin)
        self.members: list[UUID] = []

    def make(self) -> None:
        city = _CITIES[(self.number - 1) % len(_CITIES)]
        kind = _KINDS[(self.number - 1) // len(_CITIES) % len(_KINDS)]
        # A section of the people of its own, and some who work for several dealers.
        start = (self.number - 1) * USERS_PER_PROJECT
        own = self.crowd.ids[start : start + USERS_PER_PROJECT]
        others = self.random.choices(self.crowd.ids, k=_MEMBERS - len(own))
        self.members = list(dict.fromkeys([*own, *others]))
        self.rows["projects"].append(
            (
                self.id, self.begin, self.begin, 1, f"{kind} {city}", f"Everything for {city}.",
                f"D{self.number}", f"#{self.random.getrandbits(24):06x}", own[0],
                TASKS_PER_PROJECT,
            )
        )  # fmt: skip
        self._event(
            self.begin, EventKind.PROJECT_CREATED, own[0], "Project", self.id, audience=[own[0]]
        )
        roles = [Role.OWNER, Role.ADMIN, *[Role.EDITOR] * 6]
        for place, user_id in enumerate(self.members):
            self._member(user_id, roles[place] if place < len(roles) else Role.VIEWER)
        if self.number % ADAS_SHARE == 1:
            self._member(self.crowd.ada.id, Role.EDITOR)
            self.members.insert(1, self.crowd.ada.id)
        self._tasks()

    def _member(self, user_id: UUID, role: Role) -> None:
        member_id = self.crowd.id(self.begin)
        row = (member_id, self.begin, self.begin, 1, self.id, user_id, int(role))
        self.rows["project_members"].append(row)
        if role is not Role.OWNER:
            self._event(
                self.begin,
                EventKind.PROJECT_MEMBER_ADDED,
                self.members[0],
                "ProjectMember",
                member_id,
                changes=[("user", None, user_id.hex), ("role", None, role.name)],
                audience=[user_id],
            )

    def _tasks(self) -> None:
        random, now = self.random, self.crowd.now
        # The first members can create tasks and be assigned.
        hands = self.members[:8]
        seconds = sorted(random.sample(range(_DAYS * 86_000), TASKS_PER_PROJECT))
        positions = ranks.after(None, TASKS_PER_PROJECT)
        # (id, root id, level) of the tasks so far that can have subtasks.
        above: list[tuple[UUID, UUID, int]] = []
        for number, (second, position) in enumerate(zip(seconds, positions, strict=True), start=1):
            at = self.begin + dt.timedelta(seconds=second * (_DAYS - 1) / _DAYS)
            item = random.choice(self.crowd.titles)
            task_id, owner = self.crowd.id(at), random.choice(hands)
            parent = random.choice(above) if above and random.random() < 0.2 else None
            if parent is None:
                above.append((task_id, task_id, 0))
            elif parent[2] == 0:
                above.append((task_id, parent[1], 1))
            status = random.choices(list(TaskStatus), (45, 15, 36, 4))[0]
            completed_at = None
            if status is TaskStatus.COMPLETED:
                completed_at = at + (now - at) * random.random()
            due = self._due(at)
            self.rows["tasks"].append(
                (
                    task_id, at, completed_at or at, 1 if completed_at is None else 2, self.id,
                    number, item.title, _DESCRIPTION if random.random() < 0.5 else None,
                    int(status), int(random.choice(list(TaskPriority))), *due,
                    random.choice((None, 30, 60, 120, 480)), list(item.tags),
                    [rules.tag_key(tag) for tag in item.tags], position, owner,
                    random.choice(hands) if random.random() < 0.8 else None,
                    parent[0] if parent else None, parent[1] if parent else None, completed_at,
                )
            )  # fmt: skip
            self._event(at, EventKind.TASK_CREATED, owner, "Task", task_id, task_id=task_id)
            self._comments(task_id, at, number % _COMMENTS)
            if completed_at is not None:
                changes = [("status", TaskStatus.TODO.name, TaskStatus.COMPLETED.name)]
                self._event(
                    completed_at,
                    EventKind.TASK_COMPLETED,
                    owner,
                    "Task",
                    task_id,
                    task_id=task_id,
                    changes=changes,
                )

    def _comments(self, task_id: UUID, begin: dt.datetime, count: int) -> None:
        """So many comments; some of the later ones answer the first."""
        random, now = self.random, self.crowd.now
        first: UUID | None = None
        for moment in sorted(random.random() for _ in range(count)):
            at = begin + (now - begin) * moment
            comment_id, author = self.crowd.id(at), random.choice(self.members)
            parent = first if random.random() < 0.3 else None
            text = random.choice(comments.OPENINGS if parent is None else comments.ANSWERS)
            # Nobody is mentioned, since that would need rows of mentions as well.
            body = text.replace("@{other}", "everybody")
            row = (comment_id, at, at, 1, task_id, author, parent, body)
            self.rows["comments"].append(row)
            self._event(
                at,
                EventKind.COMMENT_CREATED,
                author,
                "Comment",
                comment_id,
                task_id=task_id,
                changes=[] if parent is None else [("parent", None, parent.hex)],
            )
            first = first or comment_id

    def _due(self, at: dt.datetime) -> tuple[dt.datetime | None, dt.date | None, str | None]:
        """`due_at`, `due_on` and `due_timezone`: none, a moment, or a day."""
        chance = self.random.random()
        if chance < 0.35:
            return None, None, None
        due = at + dt.timedelta(days=self.random.randint(2, 60))
        if chance < 0.5:
            return due, None, None
        return rules.end_of_day(due.date(), "UTC", ("due_on",)), due.date(), "UTC"

    def _event(
        self,
        at: dt.datetime,
        kind: EventKind,
        actor_id: UUID,
        subject_type: str,
        subject_id: UUID,
        *,
        task_id: UUID | None = None,
        changes: Sequence[tuple[str, Any, Any]] = (),
        audience: Sequence[UUID] = (),
    ) -> None:
        written = [{"field": name, "from": old, "to": new} for name, old, new in changes]
        self.rows["events"].append(
            (
                self.crowd.id(at), at, kind.value, actor_id, f"demo-{kind.value.lower()}",
                subject_type, subject_id, task_id, self.id, list(audience), json.dumps(written),
            )
        )  # fmt: skip
