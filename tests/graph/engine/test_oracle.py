"""Generated operations against the oracle, which shares no code with the server.

An answer depends neither on how often a document was sent nor on what the process has learned of
the viewer: each operation runs ten times, by columns and serialized, by both access paths and by
what was learned, and by the standard engine.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from app import create_app
from auth.viewer import Viewer
from graph.core.access_paths import AccessPaths
from settings import Settings
from tests.databases import migrated_database
from tests.factories import Engine, World, world_of
from tests.graph.engine import filters
from tests.graph.engine.access_paths import Counting
from tests.graph.engine.oracle import KINDS, OF_VIEWER, Marked, Oracle, Row
from tests.graph.engine.selections import Drawn, Selections

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
WORDS = ["apple", "Apple", "Ärger", "arger", "zebra", "Zürich", "Strasse", "Straße", "b", "Élan"]
TAGS = ["bug", "Bug", "idea", "storm", "Ärger"]


@dataclass
class Company:
    """Rows at random, in a database of their own, and who looks at them."""

    random: Random
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    minutes: int = 0

    def add(self, table: str, **values: Any) -> dict[str, Any]:
        """A row; some share their moment with the one before."""
        self.minutes += self.random.choice([0, 1, 5])
        made = NOW - dt.timedelta(days=30) + dt.timedelta(minutes=self.minutes)
        row = {"id": UUID(int=self.random.getrandbits(128)), "created_at": made, **values}
        if table != "notifications":
            row |= {"updated_at": made, "version": 1}
        self.tables.setdefault(table, []).append(row)
        return row

    def some(self, rows: list[dict[str, Any]], rate: float = 1.0) -> Any:
        """The id of one of them, or None."""
        return self.random.choice(rows)["id"] if rows and self.random.random() < rate else None

    def fill(self) -> None:
        """Eight people; the first sees everything, the last nothing. The one before is deleted."""
        people = [self._person(number) for number in range(8)]
        people[6]["deleted_at"] = NOW
        busy = people[:7]
        projects = [self._project(number, busy) for number in range(6)]
        projects[4]["archived_at"] = NOW
        projects[5]["deleted_at"] = NOW
        for number in range(90):
            self._task(number, busy, projects)
        tasks = self.tables["tasks"]
        pairs: set[tuple[UUID, UUID]] = set()
        for _ in range(45):
            task, person = self.random.choice(tasks), self.random.choice(busy)
            if (task["id"], person["id"]) in pairs or person["id"] == task["owner_id"]:
                continue
            pairs.add((task["id"], person["id"]))
            until = self.random.choice([None, None, NOW - dt.timedelta(days=1), NOW.replace(2190)])
            self.add(
                "task_shares",
                task_id=task["id"],
                user_id=person["id"],
                permission=self.random.choice([10, 20]),
                shared_by_id=task["owner_id"],
                expires_at=until,
            )
        for number in range(80):
            threads = [one for one in self.tables.get("comments", []) if one["parent_id"] is None]
            above = self.random.choice(threads) if threads and number % 3 == 0 else None
            self.add(
                "comments",
                task_id=above["task_id"] if above else self.some(tasks),
                parent_id=above and above["id"],
                author_id=self.some(busy),
                body=f"{self.random.choice(WORDS)} {number % 7}",
            )
        self._own(busy, projects, tasks)

    def _person(self, number: int) -> dict[str, Any]:
        return self.add(
            "users",
            username=f"{self.random.choice('abCD')}er{number}",
            email=f"p{number}@example.com",
            full_name=self.random.choice([None, *WORDS]),
            password_hash="-",
            pepper_version=1,
            password_changed_at=NOW,
            week_start=1,
            is_active=True,
            is_admin=False,
        )

    def _project(self, number: int, people: list[dict[str, Any]]) -> dict[str, Any]:
        owner = people[0] if number % 2 else people[1]
        project = self.add(
            "projects",
            name=self.random.choice(WORDS),
            key=f"P{'ZYXWVU'[number]}",
            color=self.random.choice([None, "#112233"]),
            archived_at=None,
            deleted_at=None,
            owner_id=owner["id"],
            last_number=0,
        )
        roles = {people[0]["id"]: 30, owner["id"]: 40}
        for person in people[2:5]:
            if self.random.random() < 0.5:
                roles[person["id"]] = self.random.choice([10, 20, 30])
        for person, role in roles.items():
            self.add("project_members", project_id=project["id"], user_id=person, role=role)
        return project

    def _task(self, number: int, people: list[Any], projects: list[Any]) -> None:
        random, tasks = self.random, self.tables.setdefault("tasks", [])
        parents = [task for task in tasks if task["deleted_at"] is None and task["level"] < 2]
        parent = random.choice(parents) if parents and random.random() < 0.35 else None
        if parent is not None:
            project, owner = parent["project_id"], parent["owner_id"]
        else:
            project = self.some(projects, 0.7)
            # In a project ownership counts while one is a member, so the owners here are.
            members = [m for m in self.tables["project_members"] if m["project_id"] == project]
            owner = random.choice(members)["user_id"] if members else self.some(people)
        gone = next((p["deleted_at"] for p in projects if p["id"] == project), None)
        tags = random.sample(["bug", "idea", "storm", "Ärger"], random.randint(0, 3))
        tags = ["Bug" if tag == "bug" and random.random() < 0.3 else tag for tag in tags]
        self.add(
            "tasks",
            project_id=project,
            number=None if project is None else number + 1,
            title=f"{random.choice(WORDS)}{random.choice(['', '', f' {number % 5}'])}",
            status=random.choice([10, 20, 30, 40]),
            priority=random.choice([0, 10, 20, 30, 40]),
            due_at=random.choice([None, NOW + dt.timedelta(days=random.randint(-3, 3))]),
            estimate=random.choice([None, 5, 30, 90]),
            tags=tags,
            tag_keys=[tag.casefold() for tag in tags],
            due_on=(NOW + dt.timedelta(days=random.randint(-3, 3))).date()
            if random.random() < 0.3
            else None,
            start_at=random.choice([None, NOW - dt.timedelta(days=random.randint(1, 9))]),
            description=random.choice([None, *WORDS]),
            position=random.choice("abcdef"),
            owner_id=owner,
            assignee_id=self.some(people, 0.5),
            parent_id=parent and parent["id"],
            root_id=parent and (parent["root_id"] or parent["id"]),
            deleted_at=gone or (NOW if parent is None and random.random() < 0.08 else None),
            level=0 if parent is None else parent["level"] + 1,
        )

    def _own(self, people: list[Any], projects: list[Any], tasks: list[Any]) -> None:
        random = self.random
        running: set[UUID] = set()
        for number in range(90):
            task = random.choice(tasks) if random.random() < 0.6 else None
            person = self.some(people)
            ended = person in running or random.random() < 0.9
            if not ended:
                running.add(person)
            begun = NOW - dt.timedelta(hours=random.randint(2, 60))
            self.add(
                "time_entries",
                user_id=person,
                project_id=self.some(projects, 0.5) if task is None else task["project_id"],
                task_id=task and task["id"],
                description=random.choice([None, *WORDS]),
                started_at=begun,
                ended_at=begun + dt.timedelta(minutes=30 + number) if ended else None,
                is_billable=random.random() < 0.5,
            )
        for _ in range(70):
            self.add(
                "notifications",
                recipient_id=self.some(people),
                kind=random.choice([1, 2, 3]),
                actor_id=self.some(people, 0.7),
                task_id=self.some(tasks, 0.7),
                comment_id=self.some(self.tables["comments"], 0.4),
                read_at=random.choice([None, NOW]),
                in_app=random.random() < 0.9,
                email=False,
            )
        for _ in range(40):
            self.add(
                "reminders",
                user_id=self.some(people),
                task_id=(task := self.some(tasks, 0.5)),
                project_id=None if task else self.some(projects, 0.5),
                message=random.choice(WORDS),
                kind=3,
                rule="{}",
                channels=["IN_APP"],
                is_enabled=(enabled := random.random() < 0.8),
                next_run_at=NOW + dt.timedelta(days=1) if enabled else None,
            )
        for _ in range(15):
            self.add(
                "integrations",
                user_id=self.some(people),
                project_id=self.some(projects),
                connector=2,
                settings="{}",
                credentials=b"-",
                status=1,
                progress="{}",
                last_error=random.choice([None, "refused"]),
            )
            self.add(
                "webhooks",
                user_id=self.some(people),
                name="hook",
                url=f"https://example.com/{random.choice(WORDS)}",
                status=1,
                secret=b"-",
            )

    async def store(self, dsn: str) -> None:
        """Put the rows into the database, table by table."""
        connection = await asyncpg.connect(dsn)
        try:
            for table, rows in self.tables.items():
                for row in rows:
                    names = [name for name in row if name != "level"]
                    places = ", ".join(f"${place}" for place in range(1, len(names) + 1))
                    await connection.execute(
                        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})",
                        *(row[name] for name in names),
                    )
            await connection.execute("ANALYZE")
        finally:
            await connection.close()


@dataclass
class Fixtures:
    """A process on the company's database, and everybody's oracle."""

    world: World
    oracles: dict[Viewer, Oracle]
    cursors: dict[tuple[Viewer, str, str], dict[str, str]] = field(default_factory=dict)

    async def cursor(self, viewer: Viewer, row: Row, name: str, order: str) -> str | None:
        """The cursor of a row in a list at the root."""
        known = self.cursors.get((viewer, name, order))
        if known is None:
            known, after = {}, None
            arguments = f"first: 100, after: $after{f', orderBy: {order}' if order else ''}"
            text = f"query Q($after: String) {{ {name}({arguments}) {{ edges {{ cursor node {{ id }} }} pageInfo {{ hasNextPage endCursor }} }} }}"  # noqa: E501
            while True:
                found = (await self.world.run(text, viewer, after=after)).good[name]
                known |= {edge["node"]["id"]: edge["cursor"] for edge in found["edges"]}
                after = found["pageInfo"]["endCursor"]
                if not found["pageInfo"]["hasNextPage"]:
                    break
            self.cursors[viewer, name, order] = known
        return next((text for id_, text in known.items() if id_.endswith(row["id"].hex)), None)


@pytest_asyncio.fixture(scope="module")
async def fixtures(settings: Settings) -> AsyncIterator[Fixtures]:
    company = Company(Random(7))
    company.fill()
    async with migrated_database(settings) as database:
        await company.store(database.dsn)
        tables = await Oracle.read(database.dsn)
        people = [row["id"] for row in company.tables["users"]]
        inside = tuple(row["id"] for row in company.tables["projects"][:2])
        who = [people[number] for number in (0, 1, 2, 3, 5, 7)]
        viewers = [(me, Viewer(user_id=me)) for me in who]
        viewers.append((who[0], Viewer(user_id=who[0], projects=inside)))
        app = create_app(settings.with_database(database.dsn))
        async with app.lifespan(), world_of(app) as world:
            yield Fixtures(
                world,
                {
                    viewer: Oracle(
                        tables,
                        me,
                        NOW,
                        None if viewer.projects is None else frozenset(viewer.projects),
                    )
                    for me, viewer in viewers
                },
            )


def differences(expected: Any, found: Any, cursors: dict[Marked, str], path: str = "") -> list[str]:
    """Where an answer is not what the oracle says. The cursors of one row in one ordering are one
    text; `...` is anything.
    """
    if expected is ...:
        return []
    if isinstance(expected, Marked):
        if isinstance(found, str) and cursors.setdefault(expected, found) == found:
            return []
        return [f"{path}: cursor {found!r}"]
    if isinstance(expected, dict) and isinstance(found, dict) and list(expected) == list(found):
        parts = [
            differences(value, found[key], cursors, f"{path}.{key}")
            for key, value in expected.items()
        ]
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        parts = [
            differences(*pair, cursors, f"{path}.{place}")
            for place, pair in enumerate(zip(expected, found, strict=True))
        ]
    else:
        return [] if expected == found else [f"{path}: {expected!r} expected, {found!r} found"]
    return [each for part in parts for each in part]


async def check(fixtures: Fixtures, seed: int) -> bool:
    """One operation of one viewer, ten times. Whether it was within the limits of documents."""
    random = Random(seed)
    viewer = random.choice(list(fixtures.oracles))
    oracle, world = fixtures.oracles[viewer], fixtures.world
    drawn: Drawn = Selections(random, oracle).operation()
    variables: dict[str, Any] = {
        name: await fixtures.cursor(viewer, *place) for name, place in drawn.cursors.items()
    }
    expected = oracle.answer(drawn.fields)
    cursors: dict[Marked, str] = {}
    learned, walk, count = (
        AccessPaths(slow_seconds=0),
        AccessPaths(slow_seconds=math.inf),
        Counting(),
    )
    ways = [walk, walk, count, learned, walk, walk, count, count, learned]
    random.shuffle(ways)
    for run, way in enumerate([*ways, None]):
        if way is not None:
            world.services.access_paths = way
        engine: Engine = "standard" if way is None else "batch"
        reply = await world.run(drawn.text, viewer, engine=engine, **variables)
        if run == 0 and set(reply.codes) & {"OPERATION_TOO_COMPLEX", "DOCUMENT_TOO_COMPLEX"}:
            return False
        assert not reply.errors, (seed, run, drawn.text, reply.errors)
        wrong = differences(expected, reply.data, cursors)
        assert not wrong, (seed, run, type(way).__name__, drawn.text, variables, wrong[:5])
    return True


async def test_answers_are_what_the_oracle_says(fixtures: Fixtures) -> None:
    done = [await check(fixtures, seed) for seed in range(30)]
    assert sum(done) > 24


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(10))
async def test_answers_are_what_the_oracle_says_all_night(fixtures: Fixtures, part: int) -> None:
    for seed in range(1_000 + part * 500, 1_500 + part * 500):
        await check(fixtures, seed)


# Lists whose filters are modelled.
FILTERED = {
    "tasks": "Task",
    "projects": "Project",
    "timeEntries": "TimeEntry",
    "notifications": "Notification",
    "reminders": "Reminder",
}


async def found_by(
    fixtures: Fixtures, viewer: Viewer, name: str, drawn: list[filters.Filter]
) -> list[set[str]]:
    """The ids that each of these filters finds."""
    variables: dict[str, Any] = {f"f{place}": each for place, each in enumerate(drawn)}
    declared = ", ".join(f"${key}: {FILTERED[name]}Filter" for key in variables)
    asked = " ".join(
        f"{key}: {name}(filter: ${key}, first: 100) {{ nodes {{ id }} }}" for key in variables
    )
    if name in OF_VIEWER:
        asked = f"viewer {{ {asked} }}"
    reply = await fixtures.world.run(f"query ({declared}) {{ {asked} }}", viewer, **variables)
    lists = reply.good["viewer"] if name in OF_VIEWER else reply.good
    return [{node["id"] for node in lists[key]["nodes"]} for key in variables]


async def check_filters(
    fixtures: Fixtures, viewer: Viewer, name: str, drawn: list[filters.Filter]
) -> None:
    """What they find is what the model says of each row that the viewer sees."""
    oracle, kind = fixtures.oracles[viewer], FILTERED[name]
    rows = oracle.root(name)[1]
    prefix = KINDS[kind].prefix
    for start in range(0, len(drawn), 10):
        part = drawn[start : start + 10]
        for filter_, found in zip(part, await found_by(fixtures, viewer, name, part), strict=True):
            try:
                expected = {
                    f"{prefix}_{row['id'].hex}"
                    for row in rows
                    if filters.says(oracle, kind, filter_, row) is True
                }
            except filters.UnknownError:
                continue
            table = {f"{prefix}_{row['id'].hex}": row for row in rows}
            wrong = [dict(table[id_]) for id_ in found ^ expected]
            assert not wrong, (name, filter_, viewer, len(expected), wrong[:2])


@pytest.mark.parametrize("name", FILTERED)
async def test_every_criterion_finds_what_the_model_says(fixtures: Fixtures, name: str) -> None:
    random = Random(name)
    viewers = list(fixtures.oracles)
    first = fixtures.oracles[viewers[0]]
    drawn = list(filters.Drawing(random, first).each(FILTERED[name]))
    # One asks for all, and the others for what concerns more than a row's own columns: their rights
    # decide about related objects.
    related = [one for one in drawn if filters.concerns_others(FILTERED[name], one)]
    for number, viewer in enumerate(viewers):
        mine = drawn if number == 1 else [one for one in related if random.random() < 0.25]
        await check_filters(fixtures, viewer, name, mine)


async def check_at_random(fixtures: Fixtures, name: str, random: Random, count: int) -> None:
    """So many filters of each viewer."""
    for viewer, oracle in fixtures.oracles.items():
        drawing = filters.Drawing(random, oracle)
        drawn = [drawing.filter(FILTERED[name], 3) for _ in range(count)]
        await check_filters(fixtures, viewer, name, drawn)


@pytest.mark.parametrize("name", FILTERED)
async def test_filters_at_random_find_what_the_model_says(fixtures: Fixtures, name: str) -> None:
    await check_at_random(fixtures, name, Random(f"{name} at random"), 10)


@pytest.mark.nightly
@pytest.mark.parametrize("name", FILTERED)
async def test_filters_at_random_find_what_the_model_says_all_night(
    fixtures: Fixtures, name: str
) -> None:
    await check_at_random(fixtures, name, Random(f"{name} all night"), 200)
