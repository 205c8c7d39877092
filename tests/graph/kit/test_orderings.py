"""Every ordering that the schema offers: its pages are right, and what they read does not grow.

The first is checked against a sort in Python of rows that were read by one plain SELECT. For the
second, PostgreSQL counts the rows and index entries that it reads for a page of thousands of rows,
by the plan that the application really uses, whatever the planner is told of the disk.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import pytest
import pytest_asyncio
from graphql import GraphQLInputObjectType, GraphQLSchema, build_schema, get_named_type
from sqlalchemy import text

from auth.viewer import Viewer
from db.read import Reader
from db.statements import Plan, Statement
from graph.schema import schema
from settings import Settings
from tests.accounts import Person
from tests.factories import World, own_world

TASKS, ENTRIES, PEOPLE, PROJECTS = 12_000, 8_000, 2_000, 2_000
# Rows and index entries that one page may read. Lists of what is in projects may go through the
# projects once or twice, for the rights on them.
MOST_READ = {"tasks": 5_000, "timeEntries": 5_000}
MOST_READ_ELSEWHERE = 1_000

# PostgreSQL would like to do everything in parallel, and thinks that little is in memory.
_PARALLEL = (
    "max_parallel_workers_per_gather = 2",
    "parallel_setup_cost = 0",
    "parallel_tuple_cost = 0",
    "min_parallel_table_scan_size = 0",
    "min_parallel_index_scan_size = 0",
    "effective_cache_size = '8MB'",
)

_ROWS = """
SELECT setseed(0.5);
INSERT INTO users (id, username, email, full_name, password_hash, pepper_version,
    password_changed_at, week_start, is_active, is_admin, created_at, updated_at, version,
    email_verified_at, deleted_at)
  SELECT gen_random_uuid(), 'person' || n, 'person' || n || '@example.com',
    CASE WHEN n % 3 > 0 THEN 'Name ' || n % 40 END, 'x', 1, now(), 1, n % 9 > 0, n % 50 = 0,
    now() - random() * interval '900 days', now() - random() * interval '90 days', 1,
    CASE WHEN n % 4 > 0 THEN now() - random() * interval '900 days' END,
    CASE WHEN n % 20 = 0 THEN now() END
  FROM generate_series(1, {people}) n;
INSERT INTO projects (id, name, key, owner_id, archived_at, created_at, updated_at, version)
  SELECT gen_random_uuid(), 'Project ' || n % 25, 'P' || n,
    (SELECT id FROM users ORDER BY random() + n * 0 LIMIT 1),
    CASE WHEN n % 4 = 0 THEN now() - n * interval '1 day' END,
    now() - random() * interval '900 days', now() - random() * interval '90 days', 1
  FROM generate_series(1, {projects}) n;
INSERT INTO project_members (id, project_id, user_id, role, created_at, updated_at, version)
  SELECT gen_random_uuid(), id, '{viewer}', 30, now(), now(), 1 FROM projects;
WITH everybody AS (SELECT array_agg(id ORDER BY id) AS ids FROM users),
  everything AS (SELECT array_agg(id ORDER BY id) AS ids FROM projects)
INSERT INTO tasks (id, project_id, number, title, status, priority, due_at, start_at, estimate,
    position, owner_id, assignee_id, completed_at, created_at, updated_at, version)
  SELECT gen_random_uuid(), everything.ids[1 + n % {projects}], n, 'Task ' || n % {titles},
    10 * (1 + n % 4), 10 * (n % 5),
    CASE WHEN n % 3 > 0 THEN now() + (n * 7 % 500) * interval '1 hour' END,
    CASE WHEN n % 5 > 2 THEN now() - (n * 11 % 900) * interval '1 hour' END,
    CASE WHEN n % 2 > 0 THEN 900 * (n * 13 % 40) END, chr(97 + n % 26) || n,
    everybody.ids[1 + n * 17 % {people}],
    CASE WHEN n % 7 > 1 THEN everybody.ids[1 + n * 29 % {people}] END,
    CASE WHEN n % 4 > 1 THEN now() - (n * 3 % 700) * interval '1 hour' END,
    now() - (n * 5 % 9000) * interval '1 hour', now() - (n * 19 % 9000) * interval '1 minute', 1
  FROM generate_series(1, {tasks}) n, everybody, everything;
INSERT INTO time_entries (id, user_id, project_id, task_id, started_at, ended_at, created_at,
    updated_at, version)
  SELECT gen_random_uuid(), task.owner_id, task.project_id, task.id, task.created_at,
    task.created_at + interval '1 hour', task.created_at, task.updated_at, 1
  FROM (SELECT * FROM tasks ORDER BY number LIMIT {entries}) task;
INSERT INTO notifications (id, recipient_id, kind, created_at, read_at, in_app, email)
  SELECT gen_random_uuid(), '{viewer}', 1, now() - n * interval '1 hour',
    CASE WHEN n % 3 > 0 THEN now() - n * 7 % 900 * interval '1 minute' END, true, false
  FROM generate_series(1, {entries}) n;
ANALYZE;
"""


@dataclass(slots=True)
class Scene:
    """A user who sees everything in a database of its own."""

    world: World
    person: Person
    admin: Viewer


async def _scene(world: World, *, titles: int, **sizes: int) -> Scene:
    person = await world.person()
    rows = _ROWS.format(viewer=person.id, titles=titles, **sizes)
    async with world.database.session() as session:
        for statement in rows.split(";\n"):
            if statement.strip():
                await session.execute(text(statement))
        await session.commit()
    return Scene(world, person, Viewer(user_id=person.id, is_admin=True))


@pytest_asyncio.fixture(scope="module")
async def small(settings: Settings) -> AsyncIterator[Scene]:
    """Few rows, of which a test reads all pages."""
    async with own_world(settings) as world:
        scene = await _scene(world, titles=50, tasks=90, entries=0, people=12, projects=5)
        async with world.database.session() as session:
            name = await session.scalar(text("SELECT current_database()"))
            for setting in _PARALLEL:
                await session.execute(text(f"ALTER DATABASE {name} SET {setting}"))
            await session.commit()
        # The order of rows must not depend on the settings of the planner.
        world.database.reader._once.discard_free()
        yield scene


@pytest_asyncio.fixture(scope="module")
async def large(settings: Settings) -> AsyncIterator[Scene]:
    """So many rows that PostgreSQL decides between its plans as with a million."""
    sizes = {"tasks": TASKS, "entries": ENTRIES, "people": PEOPLE, "projects": PROJECTS}
    async with own_world(settings) as world:
        yield await _scene(world, titles=TASKS, **sizes)


# --- all orderings -------------------------------------------------------------------------------

_SDL = build_schema(schema.as_str())
_DIRECTIONS = ("ASC", "DESC", "ASC_NULLS_FIRST", "DESC_NULLS_FIRST")


def _paths(sdl: GraphQLSchema, of: str, depth: int = 2) -> Iterator[tuple[str, ...]]:
    """The fields of an ordering, those of related objects as paths."""
    type_ = sdl.type_map[of]
    assert isinstance(type_, GraphQLInputObjectType)
    for name, field in type_.fields.items():
        inner = get_named_type(field.type)
        if not isinstance(inner, GraphQLInputObjectType):
            yield (name,)
        elif depth:
            yield from ((name, *path) for path in _paths(sdl, inner.name, depth - 1))


def _literal(path: tuple[str, ...], direction: str) -> str:
    for name in reversed(path):
        direction = f"{{ {name}: {direction} }}"
    return direction


# Lists at the root and of the viewer; a list under another object is as large as that object.
LISTS = {
    "tasks": ("TaskOrder", "{{ tasks({}) {{ nodes {{ id }} }} }}"),
    "projects": ("ProjectOrder", "{{ projects({}) {{ nodes {{ id }} }} }}"),
    "users": ("UserOrder", "{{ users({}) {{ nodes {{ id }} }} }}"),
    "timeEntries": ("TimeEntryOrder", "{{ timeEntries({}) {{ nodes {{ id }} }} }}"),
    "adminUsers": ("AdminUserOrder", "{{ adminUsers({}) {{ nodes {{ id }} }} }}"),
    "notifications": (
        "NotificationOrder",
        "{{ viewer {{ notifications({}) {{ nodes {{ id }} }} }} }}",
    ),
}
# What reads more rows if there are more, and why.
GROWS = {
    r"(task\.|project\.|task\.project\.)?tracked": "a sum over time entries",
    r"(tasks|timeEntries) project\.owner\..*": "sorts the projects by their owners first",
    r"timeEntries duration": "the difference of two columns",
    r"timeEntries task\..*": "sorts the entries: there are as many tasks as entries",
    r"projects owner\..*": "there may be as many owners as projects",
    r"timeEntries project\..* \w+_NULLS_FIRST": "looks for entries in hidden projects",
    r"users .*": "looks among all users for those with whom the viewer works",
    r"adminUsers email": "sorts the accounts by a computed key; for administrators",
}
CASES = [
    (of, path, direction)
    for of, (order, _) in LISTS.items()
    for path in _paths(_SDL, order)
    for direction in _DIRECTIONS
]
COMBINED = [
    "[{ priority: DESC }, { dueAt: ASC }]",
    "[{ status: ASC }, { dueAt: DESC }]",
    "[{ title: ASC }, { updatedAt: DESC }]",
    "[{ updatedAt: DESC }, { assignee: { username: ASC } }]",
]


def _names(of: str, path: tuple[str, ...], direction: str = "") -> tuple[str, ...]:
    name = ".".join(path)
    return name, f"{of} {name}", f"{of} {name} {direction}"


def _growing(of: str, path: tuple[str, ...], direction: str = "") -> bool:
    names = _names(of, path, direction)
    return any(re.fullmatch(known, name) for known in GROWS for name in names)


def _most(of: str) -> int:
    return MOST_READ.get(of, MOST_READ_ELSEWHERE)


# --- what a page reads ---------------------------------------------------------------------------

_READ = (
    "SELECT coalesce(sum(pg_stat_get_xact_tuples_returned(oid)), 0)::int FROM pg_class"
    " WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace"
    # What a viewer is a member of is read once for each statement.
    " AND relname NOT LIKE '%project_members%'"
)


class _Counted:
    """Executes a reader's statements in transactions of their own, and counts what they read."""

    def __init__(self, reader: Reader, planner: Sequence[str]) -> None:
        self._reader = reader
        self._planner = planner
        self.read = 0

    async def fetch(self, statement: Statement, params: Any) -> list[Any]:
        pool = self._reader._once if statement.plan is Plan.ONCE else self._reader._by_values
        async with pool.acquired() as connection, connection.transaction():
            for setting in self._planner:
                await connection.execute(f"SET LOCAL {setting}")
            # Plans of connections that were made with other settings are not to be used.
            await connection.execute("DISCARD PLANS")
            before = await connection.fetchval(_READ)
            found: list[Any] = await connection.fetch(
                statement.text, *statement.arguments(params), record_class=statement.row
            )
            self.read += await connection.fetchval(_READ) - before
        return found


async def _read(
    scene: Scene, query: str, planner: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> int:
    reader = scene.world.database.reader
    counted = _Counted(reader, planner)
    monkeypatch.setattr(reader, "fetch", counted.fetch)
    person = scene.admin if "admin" in query else scene.person
    assert (await scene.world.run(query, person)).good
    monkeypatch.undo()
    return counted.read


@pytest.mark.statements
@pytest.mark.parametrize("planner", [(), _PARALLEL], ids=["usual", "parallel"])
async def test_no_page_reads_more_because_there_are_more_rows(
    large: Scene, planner: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exceeding = {}
    for of, path, direction in CASES:
        usual = len(path) == 1 or direction in {"ASC", "DESC_NULLS_FIRST"}
        if not usual or _growing(of, path, direction):
            continue
        query = LISTS[of][1].format(f"first: 50, orderBy: [{_literal(path, direction)}]")
        if (read := await _read(large, query, planner, monkeypatch)) > _most(of):
            exceeding[of, ".".join(path), direction] = read
    for order in COMBINED:
        query = LISTS["tasks"][1].format(f"first: 50, orderBy: {order}")
        if (read := await _read(large, query, planner, monkeypatch)) > _most("tasks"):
            exceeding["tasks", order, ""] = read
    assert exceeding == {}


def test_what_may_grow_is_offered() -> None:
    for known in GROWS:
        assert any(re.fullmatch(known, name) for case in CASES for name in _names(*case)), known


@pytest.mark.statements
@pytest.mark.parametrize("direction", _DIRECTIONS[1:3])
async def test_a_page_far_down_reads_no_more(
    large: Scene, direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a cursor in each segment: at the end of the list, read backward and forward."""
    exceeding = {}
    for path in _paths(_SDL, "TaskOrder", 0):
        if _growing("tasks", path):
            continue
        order = f"orderBy: [{_literal(path, direction)}]"
        asked = "{{ tasks({}, {}) {{ nodes {{ id }} pageInfo {{ startCursor }} }} }}"
        last = asked.format("last: 50", order)
        page = (await large.world.run(last, large.person)).good["tasks"]
        place = page["pageInfo"]["startCursor"]
        for window in ("last: 50", f'first: 50, after: "{place}"', f'last: 50, before: "{place}"'):
            query = asked.format(window, order)
            read = await _read(large, query, (), monkeypatch)
            if read > _most("tasks"):
                exceeding[".".join(path), window] = read
    assert exceeding == {}


# --- what a page contains ------------------------------------------------------------------------

_VALUES = """
SELECT task.id, task.title, task.number, task.title_key AS "title", task.status, task.priority,
  task.due_at AS "dueAt", task.start_at AS "startAt", task.estimate,
  task.completed_at AS "completedAt", task.created_at AS "createdAt",
  task.updated_at AS "updatedAt", task.position,
  (SELECT count(*) FROM comments WHERE task_id = task.id AND removed_at IS NULL) AS "commentCount",
  (SELECT count(*) FROM attachments WHERE task_id = task.id) AS "attachmentCount",
  owner.username_key AS "owner.username", owner.full_name_key AS "owner.fullName",
  owner.created_at AS "owner.createdAt",
  assignee.username_key AS "assignee.username", assignee.full_name_key AS "assignee.fullName",
  assignee.created_at AS "assignee.createdAt",
  project.key AS "project.key", project.name_key AS "project.name",
  project.archived_at AS "project.archivedAt", project.created_at AS "project.createdAt",
  project.updated_at AS "project.updatedAt", lead.username_key AS "project.owner.username",
  lead.full_name_key AS "project.owner.fullName", lead.created_at AS "project.owner.createdAt"
FROM tasks task JOIN projects project ON project.id = task.project_id
  LEFT JOIN users owner ON owner.id = task.owner_id AND owner.deleted_at IS NULL
  LEFT JOIN users assignee ON assignee.id = task.assignee_id AND assignee.deleted_at IS NULL
  LEFT JOIN users lead ON lead.id = project.owner_id AND lead.deleted_at IS NULL
"""


def _sorted(rows: list[Any], keys: list[tuple[str, str]]) -> list[str]:
    """The IDs in order: the last key first, since Python's sort is stable."""
    found = sorted(rows, key=lambda row: row["id"], reverse=keys[-1][1].startswith("DESC"))
    for name, direction in reversed(keys):
        values = [row for row in found if row[name] is not None]
        missing = [row for row in found if row[name] is None]
        values.sort(key=itemgetter(name), reverse=direction.startswith("DESC"))
        found = missing + values if direction.endswith("FIRST") else values + missing
    return [f"task_{row['id'].hex}" for row in found]


async def _paged(scene: Scene, order: str, *, backward: bool) -> list[str]:
    """The IDs on all pages, one after the other."""
    found: list[str] = []
    cursor = ""
    for _ in range(40):
        window = f'last: 13, before: "{cursor}"' if backward else f'first: 13, after: "{cursor}"'
        query = (
            f"{{ tasks({window}, orderBy: {order}) {{ nodes {{ id }} "
            "pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"
        )
        page = (await scene.world.run(query, scene.person)).good["tasks"]
        own, info = [node["id"] for node in page["nodes"]], page["pageInfo"]
        found = own + found if backward else found + own
        assert info["hasPreviousPage" if not backward else "hasNextPage"] == (cursor != "")
        if not info["hasNextPage" if not backward else "hasPreviousPage"]:
            return found
        cursor = info["startCursor" if backward else "endCursor"]
    raise AssertionError("The pages do not end.")


async def _rows(scene: Scene) -> list[Any]:
    async with scene.world.database.session() as session:
        return [dict(row) for row in (await session.execute(text(_VALUES))).mappings()]


@pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.nightly)], ids=["some", "all"]
)
async def test_the_pages_of_every_order_follow_each_other(small: Scene, every: bool) -> None:
    """By day in one direction each, in turn."""
    rows = await _rows(small)
    assert len(rows) == 90
    for number, path in enumerate(_paths(_SDL, "TaskOrder")):
        if _growing("tasks", path):
            continue
        for direction in _DIRECTIONS if every else [_DIRECTIONS[number % 4]]:
            order = f"[{_literal(path, direction)}]"
            expected = _sorted(rows, [(".".join(path), direction)])
            backward = bool((number // 4 + _DIRECTIONS.index(direction)) % 2)
            assert await _paged(small, order, backward=backward) == expected, order


@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.nightly)])
async def test_the_pages_of_orders_by_several_keys_follow_each_other(
    small: Scene, step: int
) -> None:
    rows = await _rows(small)
    names = ["status", "priority", "dueAt", "assignee.fullName", "project.archivedAt", "title"]
    for number, pair in enumerate(
        itertools.islice(itertools.permutations(names, 2), 0, None, step)
    ):
        first, second = _DIRECTIONS[number % 4], _DIRECTIONS[number // 4 % 4]
        keys = [(pair[0], first), (pair[1], second)]
        order = ", ".join(_literal(tuple(name.split(".")), way) for name, way in keys)
        found = await _paged(small, f"[{order}]", backward=bool(number % 2))
        assert found == _sorted(rows, keys), order
