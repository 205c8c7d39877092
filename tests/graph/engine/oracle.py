"""What the API has to answer, worked out in plain Python over the rows of the database.

Nothing here knows the server: tables are read with plain SQL, and rights, filters, orderings, pages
and relations are written down once more, from the contract and not from the code. So what both
engines get wrong together is found as well.

An operation is a tree of `Field`s (`tests.graph.engine.selections` makes them at random and writes
them as GraphQL); the oracle answers the tree and never sees the text.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cmp_to_key
from typing import Any
from uuid import UUID

import asyncpg

Row = Mapping[str, Any]

VIEWER, EDITOR, ADMIN, OWNER = 10, 20, 30, 40
STATUS = {10: "TODO", 20: "IN_PROGRESS", 30: "COMPLETED", 40: "CANCELLED"}
PRIORITY = {0: "NONE", 10: "LOW", 20: "MEDIUM", 30: "HIGH", 40: "URGENT"}
ROLE = {10: "VIEWER", 20: "EDITOR", 30: "ADMIN", 40: "OWNER"}
PERMISSION = {10: "VIEW", 20: "EDIT"}
PAGE = 50


@dataclass(frozen=True)
class Key:
    """One step of an ordering: a column, perhaps of the object at the end of a relation."""

    column: str
    relation: str | None = None
    descending: bool = False
    nulls_first: bool = False


@dataclass(frozen=True)
class Page:
    """The arguments of a list. `after` and `before` are rows, whose cursors the client has."""

    order: tuple[Key, ...] = ()
    matches: Callable[[Oracle, Row], bool] | None = None
    first: int | None = None
    last: int | None = None
    after: Row | None = None
    before: Row | None = None


@dataclass
class Field:
    """A field of an operation: its name, its key in the answer, what is asked below it and of which
    type.
    """

    name: str
    key: str
    below: list[Field] = field(default_factory=list)
    type: str = ""
    page: Page | None = None
    # As GraphQL writes the arguments.
    arguments: str = ""


@dataclass(frozen=True)
class Marked:
    """A cursor: of this row, in this ordering. Its text is the server's affair."""

    row: UUID
    order: tuple[Key, ...]


@dataclass(frozen=True)
class Kind:
    """A type: its table, how its leaves are read, where its relations and lists lead."""

    table: str
    prefix: str
    leaves: Mapping[str, Callable[[Row], Any]]
    one: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    many: Mapping[str, tuple[str, str, tuple[Key, ...]]] = field(default_factory=dict)


def _moment(name: str) -> Callable[[Row], Any]:
    return lambda row: None if row[name] is None else f"{row[name]:%Y-%m-%dT%H:%M:%S}Z"


def _plain(name: str) -> Callable[[Row], Any]:
    return lambda row: row[name]


_NEWEST = (Key("created_at", descending=True),)
_OLDEST = (Key("created_at"),)
_BY_POSITION = (Key("position"),)
_LATEST_START = (Key("started_at", descending=True),)

KINDS: Mapping[str, Kind] = {
    "User": Kind(
        "users",
        "user",
        {"username": _plain("username"), "fullName": _plain("full_name")},
        many={
            "assignedTasks": ("Task", "assignee_id", _NEWEST),
            "ownedTasks": ("Task", "owner_id", _NEWEST),
            "ownedProjects": ("Project", "owner_id", _NEWEST),
        },
    ),
    "Project": Kind(
        "projects",
        "project",
        {
            "name": _plain("name"),
            "key": _plain("key"),
            "color": _plain("color"),
            "createdAt": _moment("created_at"),
        },
        {"owner": ("owner_id", "User")},
        {
            "tasks": ("Task", "project_id", _BY_POSITION),
            "members": ("ProjectMember", "project_id", _OLDEST),
            "timeEntries": ("TimeEntry", "project_id", _LATEST_START),
        },
    ),
    "ProjectMember": Kind(
        "project_members",
        "member",
        {"role": lambda row: ROLE[row["role"]]},
        {"user": ("user_id", "User"), "project": ("project_id", "Project")},
    ),
    "Task": Kind(
        "tasks",
        "task",
        {
            "title": _plain("title"),
            "number": _plain("number"),
            "status": lambda row: STATUS[row["status"]],
            "priority": lambda row: PRIORITY[row["priority"]],
            "estimate": _plain("estimate"),
            "tags": _plain("tags"),
            "dueAt": _moment("due_at"),
        },
        {
            "project": ("project_id", "Project"),
            "owner": ("owner_id", "User"),
            "assignee": ("assignee_id", "User"),
            "parent": ("parent_id", "Task"),
        },
        {
            "subtasks": ("Task", "parent_id", _BY_POSITION),
            "comments": ("Comment", "task_id", _OLDEST),
            "shares": ("TaskShare", "task_id", _OLDEST),
            "timeEntries": ("TimeEntry", "task_id", _LATEST_START),
        },
    ),
    "TaskShare": Kind(
        "task_shares",
        "share",
        {"permission": lambda row: PERMISSION[row["permission"]]},
        {
            "task": ("task_id", "Task"),
            "user": ("user_id", "User"),
            "sharedBy": ("shared_by_id", "User"),
        },
    ),
    "Comment": Kind(
        "comments",
        "comment",
        {"body": _plain("body"), "createdAt": _moment("created_at")},
        {
            "author": ("author_id", "User"),
            "task": ("task_id", "Task"),
            "parent": ("parent_id", "Comment"),
        },
    ),
    "TimeEntry": Kind(
        "time_entries",
        "time_entry",
        {
            "description": _plain("description"),
            "isBillable": _plain("is_billable"),
            "startedAt": _moment("started_at"),
            "endedAt": _moment("ended_at"),
        },
        {
            "user": ("user_id", "User"),
            "project": ("project_id", "Project"),
            "task": ("task_id", "Task"),
        },
    ),
    "Notification": Kind(
        "notifications",
        "notification",
        {"isRead": lambda row: row["read_at"] is not None, "createdAt": _moment("created_at")},
        {
            "actor": ("actor_id", "User"),
            "task": ("task_id", "Task"),
            "comment": ("comment_id", "Comment"),
        },
    ),
    "Reminder": Kind(
        "reminders",
        "reminder",
        {"message": _plain("message"), "isEnabled": _plain("is_enabled")},
        {
            "owner": ("user_id", "User"),
            "task": ("task_id", "Task"),
            "project": ("project_id", "Project"),
        },
    ),
    "Integration": Kind(
        "integrations",
        "integration",
        {"failureReason": _plain("last_error")},
        {"project": ("project_id", "Project")},
    ),
    "Webhook": Kind("webhooks", "webhook", {"url": _plain("url")}),
}

# The lists at the root and of the viewer: of what, and their default order.
ROOTS: Mapping[str, tuple[str, tuple[Key, ...]]] = {
    "tasks": ("Task", _NEWEST),
    "projects": ("Project", _NEWEST),
    "timeEntries": ("TimeEntry", _LATEST_START),
    "notifications": ("Notification", _NEWEST),
    "reminders": ("Reminder", _NEWEST),
    "integrations": ("Integration", _OLDEST),
    "webhooks": ("Webhook", _OLDEST),
    "receivedShares": ("TaskShare", _NEWEST),
    "assignedTasks": ("Task", _NEWEST),
    "ownedTasks": ("Task", _NEWEST),
}
# Those that are below `viewer`.
OF_VIEWER = frozenset(
    {
        "notifications",
        "reminders",
        "integrations",
        "webhooks",
        "receivedShares",
        "assignedTasks",
        "ownedTasks",
    }
)
# Columns with names and titles, which are ordered as people expect.
_WORDS = {"title", "name", "username", "full_name"}


def _as_people_expect(text: str) -> tuple[str, str]:
    """Without case and accents first; a small letter before its capital."""
    parts = unicodedata.normalize("NFD", text)
    bare = "".join(c for c in parts if not unicodedata.combining(c))
    # `swapcase` alone would make "ß" the same as "ss", and the two texts one.
    return bare.casefold(), "".join(c.swapcase() if c.isascii() else c for c in parts)


@dataclass
class Oracle:
    """The rows of all tables, as one person may see them at a moment.

    `restricted_to`: an API key's projects, outside of which nothing is seen.
    """

    tables: Mapping[str, Mapping[UUID, Row]]
    me: UUID
    now: dt.datetime
    restricted_to: frozenset[UUID] | None = None

    @classmethod
    async def read(cls, dsn: str) -> Mapping[str, Mapping[UUID, Row]]:
        """All rows of all tables that are known here."""
        connection = await asyncpg.connect(dsn)
        try:
            return {
                kind.table: {
                    row["id"]: dict(row)
                    for row in await connection.fetch(f"SELECT * FROM {kind.table}")
                }
                for kind in KINDS.values()
            }
        finally:
            await connection.close()

    def rows(self, kind: str) -> Iterable[Row]:
        return self.tables[KINDS[kind].table].values()

    # --- rights ------------------------------------------------------------------------------

    def role(self, project: UUID | None) -> int:
        """Mine in a project that is not in the trash; 0 for none."""
        if project is None or self.tables["projects"][project]["deleted_at"] is not None:
            return 0
        members = self.rows("ProjectMember")
        mine = (m for m in members if m["project_id"] == project and m["user_id"] == self.me)
        return next((member["role"] for member in mine), 0)

    def is_current(self, share: Row) -> bool:
        return share["expires_at"] is None or share["expires_at"] > self.now

    def sees_task(self, task: Row) -> bool:
        if task["deleted_at"] is not None:
            return False
        shares = self.rows("TaskShare")
        owns = task["owner_id"] == self.me and (
            task["project_id"] is None or self.role(task["project_id"]) > 0
        )
        return (
            owns
            or self.role(task["project_id"]) > 0
            or task["assignee_id"] == self.me
            or any(
                share["task_id"] == task["id"]
                and share["user_id"] == self.me
                and self.is_current(share)
                for share in shares
            )
            or (
                task["parent_id"] is not None
                and self.sees_task(self.tables["tasks"][task["parent_id"]])
            )
        )

    def sees(self, kind: str, row: Row) -> bool:  # noqa: PLR0911 - one line a kind, as in the table
        """The contract's table "may see", and an API key's restriction."""
        inside = self.restricted_to
        if inside is not None and not self._inside(kind, row, inside):
            return False
        match kind:
            case "User":
                return row["deleted_at"] is None
            case "Project":
                return self.role(row["id"]) > 0
            case "ProjectMember":
                return self.role(row["project_id"]) > 0
            case "Task":
                return self.sees_task(row)
            case "Comment":
                return self.sees_task(self.tables["tasks"][row["task_id"]])
            case "TaskShare":
                task = self.tables["tasks"][row["task_id"]]
                return task["deleted_at"] is None and (
                    self.me in (row["user_id"], task["owner_id"])
                    or self.role(task["project_id"]) >= ADMIN
                )
            case "TimeEntry":
                return row["user_id"] == self.me or self.role(row["project_id"]) >= ADMIN
            case "Notification":
                return bool(row["recipient_id"] == self.me and row["in_app"])
            case _:
                return bool(row["user_id"] == self.me)

    def _inside(self, kind: str, row: Row, projects: frozenset[UUID]) -> bool:
        match kind:
            case "User":
                return True
            case "Project":
                return row["id"] in projects
            case "ProjectMember" | "Task" | "TimeEntry":
                return row["project_id"] in projects
            case "Comment" | "TaskShare":
                return self.tables["tasks"][row["task_id"]]["project_id"] in projects
            case _:
                return False

    # --- lists -------------------------------------------------------------------------------

    def end(self, kind: str, relation: str, row: Row) -> Row | None:
        """What a relation leads to; None if there is nothing that I may see."""
        column, target = KINDS[kind].one[relation]
        key = row[column]
        found = None if key is None else self.tables[KINDS[target].table][key]
        return found if found is not None and self.sees(target, found) else None

    def root(self, name: str) -> tuple[str, list[Row]]:
        """The rows of a list at the root."""
        kind = ROOTS[name][0]
        rows = [row for row in self.rows(kind) if self.sees(kind, row)]
        if name == "receivedShares":
            rows = [row for row in rows if row["user_id"] == self.me and self.is_current(row)]
        if name in {"assignedTasks", "ownedTasks"}:
            column = "assignee_id" if name == "assignedTasks" else "owner_id"
            rows = [row for row in rows if row[column] == self.me]
        return kind, rows

    def _value(self, kind: str, key: Key, row: Row) -> Any:
        if key.relation is not None:
            end = self.end(kind, key.relation, row)
            if end is None:
                return None
            row = end
        value = row[key.column]
        return _as_people_expect(value) if key.column in _WORDS and value is not None else value

    def compare(self, kind: str, order: Sequence[Key], one: Row, other: Row) -> int:
        """Below 0 if one comes before the other. The id decides at last, as the last key runs."""
        for key in (*order, Key("id", descending=bool(order) and order[-1].descending)):
            a, b = self._value(kind, key, one), self._value(kind, key, other)
            if a == b:
                continue
            if a is None or b is None:
                return -1 if (a is None) == key.nulls_first else 1
            return -1 if (a < b) != key.descending else 1
        return 0

    def connection(
        self, kind: str, rows: Iterable[Row], default: tuple[Key, ...], requested: Field
    ) -> dict[str, Any]:
        """A page of these rows and what is asked of it."""
        page = requested.page or Page()
        order = page.order or default
        whole = [row for row in rows if page.matches is None or page.matches(self, row)]
        whole.sort(key=cmp_to_key(lambda a, b: self.compare(kind, order, a, b)))
        window = [
            row
            for row in whole
            if (page.after is None or self.compare(kind, order, row, page.after) > 0)
            and (page.before is None or self.compare(kind, order, row, page.before) < 0)
        ]
        size = page.first if page.first is not None else page.last
        size = PAGE if size is None else size
        backward = page.last is not None or (page.before is not None and page.first is None)
        part = window[max(len(window) - size, 0) :] if backward else window[:size]

        def cursor(row: Row) -> Marked:
            return Marked(row["id"], order)

        def info(name: str) -> Any:
            if not part:
                return None if name.endswith("Cursor") else ...
            return {
                "hasNextPage": part[-1] is not whole[-1],
                "hasPreviousPage": part[0] is not whole[0],
                "startCursor": cursor(part[0]),
                "endCursor": cursor(part[-1]),
            }[name]

        def answer(each: Field) -> Any:
            match each.name:
                case "totalCount":
                    return len(whole)
                case "nodes":
                    return [self.object(kind, row, each.below) for row in part]
                case "edges":
                    return [
                        {
                            inner.key: cursor(row)
                            if inner.name == "cursor"
                            else self.object(kind, row, inner.below)
                            if inner.name == "node"
                            else f"{kind}Edge"
                            for inner in each.below
                        }
                        for row in part
                    ]
                case "pageInfo":
                    return {
                        inner.key: "PageInfo" if inner.name == "__typename" else info(inner.name)
                        for inner in each.below
                    }
            return f"{kind}Connection"

        return {each.key: answer(each) for each in requested.below}

    def tags(self, requested: Field, project: UUID | None = None) -> dict[str, Any]:
        """The tags of the tasks that I see, the most used first."""
        spelled: dict[str, Counter[str]] = {}
        for task in self.rows("Task"):
            if self.sees("Task", task) and project in (None, task["project_id"]):
                for tag in task["tags"]:
                    spelled.setdefault(tag.casefold(), Counter())[tag] += 1
        groups: list[dict[str, Any]] = [
            # Of two spellings that are as frequent, the first in the order of code points.
            {"name": min(names, key=lambda n: (-names[n], n)), "taskCount": names.total()}
            for names in spelled.values()
        ]
        groups.sort(key=lambda tag: (-tag["taskCount"], _as_people_expect(tag["name"].casefold())))
        found: dict[str, Any] = {}
        for each in requested.below:
            if each.name == "totalCount":
                found[each.key] = len(groups)
            else:
                found[each.key] = [
                    {inner.key: tag[inner.name] for inner in each.below} for tag in groups[:PAGE]
                ]
        return found

    # --- objects -----------------------------------------------------------------------------

    def object(self, kind: str, row: Row, requested: Sequence[Field]) -> dict[str, Any]:
        """What is asked of a row."""
        return {each.key: self._field(kind, row, each) for each in requested}

    def _field(self, kind: str, row: Row, requested: Field) -> Any:
        spec, name = KINDS[kind], requested.name
        if name == "__typename":
            return kind
        if name == "id":
            return f"{spec.prefix}_{row['id'].hex}"
        if name in spec.leaves:
            return spec.leaves[name](row)
        if name in spec.one:
            end = self.end(kind, name, row)
            return None if end is None else self.object(spec.one[name][1], end, requested.below)
        if name in spec.many:
            target, column, default = spec.many[name]
            below = [
                child
                for child in self.rows(target)
                if child[column] == row["id"] and self.sees(target, child)
            ]
            return self.connection(target, below, default, requested)
        assert name in ("tags", "tagUsage")
        return self.tags(requested, row["id"])

    def answer(self, requested: Sequence[Field]) -> dict[str, Any]:
        """The data of an operation."""
        found: dict[str, Any] = {}
        for each in requested:
            if each.name == "__typename":
                found[each.key] = "Query"
            elif each.name == "tags":
                found[each.key] = self.tags(each)
            elif each.name == "viewer":
                found[each.key] = {inner.key: self._of_viewer(inner) for inner in each.below}
            else:
                found[each.key] = self._listed(each)
        return found

    def _listed(self, each: Field) -> Any:
        kind, rows = self.root(each.name)
        return self.connection(kind, rows, ROOTS[each.name][1], each)

    def _of_viewer(self, each: Field) -> Any:
        if each.name in OF_VIEWER:
            return self._listed(each)
        me = self.tables["users"][self.me]
        if each.name == "user":
            return self.object("User", me, each.below)
        return me[each.name]
