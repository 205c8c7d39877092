"""Reports on time, held against a plain model of what they ought to say."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from db import models
from tests.accounts import Person
from tests.factories import ENGINES, Engine, World, fresh_id, gid

REPORT = """query ($filter: TimeReportFilter, $groupBy: [TimeReportGroupBy!], $zone: TimeZone,
                  $weekStart: WeekDay) {
  timeReport(filter: $filter, groupBy: $groupBy, timezone: $zone, weekStart: $weekStart) {
    timezone total billable count
    groups { ...G groups { ...G groups { ...G } } }
  }
}
fragment G on TimeReportGroup {
  by project { name } task { title } user { username } tag day week month isBillable
  total billable count
}"""

ENTRIES = "timeEntries(first: 100) { totalCount nodes { id startedAt } }"

# Zones whose clocks change at midnight, twice strike it, shift by half an hour, or skip a day.
ZONES = [
    "UTC",
    "Europe/Zurich",
    "America/Sao_Paulo",
    "Atlantic/Azores",
    "America/Havana",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/St_Johns",
    "Asia/Beirut",
]
# Days near which clocks change somewhere among these.
TURNS = [
    dt.date(2018, 11, 4),
    dt.date(2018, 2, 18),
    dt.date(2024, 3, 31),
    dt.date(2024, 10, 27),
    dt.date(2024, 11, 3),
    dt.date(2011, 12, 30),
    dt.date(2024, 4, 7),
    dt.date(2024, 10, 6),
    dt.date(2026, 1, 1),
]


def entry(
    person: Person,
    start: dt.datetime,
    seconds: int | None,
    *,
    project: models.Project | None = None,
    tags: Sequence[str] = (),
    is_billable: bool = False,
    day: dt.date | None = None,
) -> models.TimeEntry:
    now = dt.datetime.now(dt.UTC)
    return models.TimeEntry(
        id=fresh_id(),
        user_id=person.id,
        project_id=None if project is None else project.id,
        started_at=start,
        ended_at=None if seconds is None else start + dt.timedelta(seconds=seconds),
        day=day,
        is_billable=is_billable,
        tags=list(tags),
        tag_keys=[tag.casefold() for tag in tags],
        created_at=now,
        updated_at=now,
        version=1,
    )


# --- the plain model -----------------------------------------------------------------------------


def midnight(day: dt.date, zone: str) -> dt.datetime:
    """The first moment of a day."""
    return dt.datetime.combine(day, dt.time(), ZoneInfo(zone)).astimezone(dt.UTC)


def slices(one: models.TimeEntry, zone: str) -> Iterator[tuple[dt.date, int]]:
    assert one.ended_at is not None
    if one.day is not None:
        yield one.day, int((one.ended_at - one.started_at).total_seconds())
        return
    # Around the day of the start; which it is exactly, the midnights say.
    day = one.started_at.date() - dt.timedelta(days=2)
    empty = one.started_at == one.ended_at
    while (begins := midnight(day, zone)) < one.ended_at or (empty and begins <= one.ended_at):
        over = midnight(day + dt.timedelta(days=1), zone)
        length = min(over, one.ended_at) - max(begins, one.started_at)
        if length > dt.timedelta(0) or (empty and begins <= one.started_at < over):
            yield day, int(length.total_seconds())
        day += dt.timedelta(days=1)


def keys_of(by: str, one: models.TimeEntry, day: dt.date, week_start: int) -> list[Any]:
    if by == "TAG":
        return sorted({tag.casefold() for tag in one.tags}) or [None]
    if by == "DAY":
        return [day.isoformat()]
    if by == "WEEK":
        return [(day - dt.timedelta(days=(day.isoweekday() - week_start) % 7)).isoformat()]
    if by == "MONTH":
        return [day.replace(day=1).isoformat()]
    if by == "BILLABLE":
        return [one.is_billable]
    assert by == "PROJECT"
    return [one.project_id]


Path = tuple[Any, ...]
Sums = dict[Path, tuple[int, int, int]]


def shares(
    entries: Sequence[models.TimeEntry],
    group_by: Sequence[str],
    *,
    zone: str,
    first: dt.date | None,
    last: dt.date | None,
    week_start: int,
) -> dict[Path, dict[UUID, int]]:
    """The seconds of each entry in each group of every level."""
    found: dict[Path, dict[UUID, int]] = defaultdict(lambda: defaultdict(int))
    found[()] = defaultdict(int)
    for one in entries:
        for day, length in slices(one, zone):
            if (first and day < first) or (last and day > last):
                continue
            for level in range(len(group_by) + 1):
                choices = [keys_of(by, one, day, week_start) for by in group_by[:level]]
                for path in itertools.product(*choices):
                    found[path][one.id] += length
    return found


def expected(entries: Sequence[models.TimeEntry], group_by: Sequence[str], **given: Any) -> Sums:
    """Seconds, billable seconds and entries of every group of every level."""
    billable = {one.id for one in entries if one.is_billable}
    return {
        path: (sum(own.values()), sum(own[id_] for id_ in own.keys() & billable), len(own))
        for path, own in shares(entries, group_by, **given).items()
    }


def told(report: Any, projects: dict[str, Any]) -> Sums:
    """The same of an answer."""
    return {
        path: (node["total"], node["billable"], node["count"])
        for path, node in nodes_of(report, projects).items()
    }


def nodes_of(report: Any, projects: dict[str, Any]) -> dict[Path, Any]:
    """The report and its groups, by the keys of each."""
    found: dict[Path, Any] = {}

    def walk(node: Any, path: Path) -> None:
        found[path] = node
        for group in node.get("groups", ()):
            by = "isBillable" if group["by"] == "BILLABLE" else group["by"].lower()
            value = group[by]
            if group["by"] == "PROJECT":
                value = value and projects[value["name"]]
            if group["by"] == "TAG":
                value = value and value.casefold()
            walk(group, (*path, value))

    walk(report, ())
    return found


@st.composite
def cases(draw: st.DrawFn) -> Any:
    turns = st.sampled_from(TURNS)
    near = st.builds(
        lambda day, hours, minutes, seconds: (
            dt.datetime.combine(day, dt.time(), dt.UTC)
            + dt.timedelta(hours=hours, minutes=minutes, seconds=seconds)
        ),
        turns,
        st.integers(-30, 30),
        st.sampled_from([0, 15, 30, 45, 59]),
        st.sampled_from([0, 0, 1, 59]),
    )
    length = st.one_of(
        st.integers(0, 3 * 3600),
        st.sampled_from([0, 1, 3600, 82_800, 86_400, 90_000]),
        st.integers(0, 3 * 86_400),
    )
    made = draw(
        st.lists(
            st.tuples(
                near,
                length,
                st.integers(0, 2),
                st.lists(st.sampled_from(["a", "A", "b", "c"]), max_size=3, unique_by=str.casefold),
                st.booleans(),
                st.sampled_from([None, None, None, *TURNS]),
            ),
            max_size=12,
        )
    )
    kinds = ["PROJECT", "TAG", "DAY", "WEEK", "MONTH", "BILLABLE"]
    group_by = draw(st.lists(st.sampled_from(kinds), max_size=3, unique=True))
    first, last = draw(st.one_of(st.none(), turns)), draw(st.one_of(st.none(), turns))
    if first and last and last < first:
        first, last = last, first
    week_start = draw(st.sampled_from(["MONDAY", "SUNDAY", "SATURDAY"]))
    return made, group_by, draw(st.sampled_from(ZONES)), first, last, week_start


@pytest.fixture(scope="module")
async def places(world: World) -> tuple[Person, list[models.Project | None]]:
    ada = await world.person()
    named = [await world.project(ada, name=f"Project {n}") for n in range(2)]
    return ada, [None, *named]


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(case=cases())
async def test_a_report_says_what_a_plain_model_says(
    world: World, places: tuple[Person, list[models.Project | None]], case: Any
) -> None:
    await compare(world, places, case, REPORT)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(case=cases())
async def test_groups_return_the_entries_that_they_count(
    world: World, places: tuple[Person, list[models.Project | None]], case: Any
) -> None:
    document = REPORT.replace("total billable count", "total billable count " + ENTRIES)
    nodes, parts = await compare(world, places, case, document)
    for path, own in parts.items():
        page = nodes[path]["timeEntries"]
        starts = [entry["startedAt"] for entry in page["nodes"]]
        assert starts == sorted(starts, reverse=True)
        assert page["totalCount"] == len(own) == nodes[path]["count"]
        ids = [UUID(entry["id"].removeprefix("time_entry_")) for entry in page["nodes"]]
        assert sorted(ids) == sorted(own)
        assert sum(own[id_] for id_ in ids) == nodes[path]["total"]


async def compare(
    world: World, places: tuple[Person, list[models.Project | None]], case: Any, document: str
) -> tuple[dict[Path, Any], dict[Path, dict[UUID, int]]]:
    """Check the sums of a report. Returns its groups, and what entries have in each of them."""
    ada, projects = places
    made, group_by, zone, first, last, week_start = case
    entries = [
        entry(
            ada,
            # An entry of a day begins with it, in whatever zone its user has.
            start if day is None else midnight(day, ZONES[seconds % len(ZONES)]),
            seconds,
            project=projects[n],
            tags=tags,
            is_billable=billable,
            day=day,
        )
        for start, seconds, n, tags, billable, day in made
    ]
    async with world.database.session() as session, session.begin():
        await session.execute(delete(models.TimeEntry).where(models.TimeEntry.user_id == ada.id))
        session.add_all(entries)
    filter_ = {"firstDay": first and first.isoformat(), "lastDay": last and last.isoformat()}
    reply = await world.run(
        document,
        ada,
        filter={name: value for name, value in filter_.items() if value},
        groupBy=group_by,
        zone=zone,
        weekStart=week_start,
    )
    starts = {"MONDAY": 1, "SATURDAY": 6, "SUNDAY": 7}[week_start]
    names = {project.name: project.id for project in projects if project is not None}
    days = {"zone": zone, "first": first, "last": last, "week_start": starts}
    report = reply.good["timeReport"]
    assert told(report, names) == expected(entries, group_by, **days)
    return nodes_of(report, names), shares(entries, group_by, **days)


async def test_days_of_23_and_25_hours(world: World) -> None:
    ada = await world.person()
    spring = dt.datetime(2024, 3, 30, 22, tzinfo=dt.UTC)
    autumn = dt.datetime(2024, 10, 26, 21, tzinfo=dt.UTC)
    await world.rows(entry(ada, spring, 26 * 3600), entry(ada, autumn, 27 * 3600))
    reply = await world.run(REPORT, ada, groupBy=["DAY"], zone="Europe/Zurich")
    report = reply.good["timeReport"]
    days = {group["day"]: group["total"] / 3600 for group in report["groups"]}
    assert days == {
        "2024-03-30": 1,
        "2024-03-31": 23,
        "2024-04-01": 2,
        "2024-10-26": 1,
        "2024-10-27": 25,
        "2024-10-28": 1,
    }
    assert report["total"] == sum(days.values()) * 3600
    assert (report["count"], [group["count"] for group in report["groups"]]) == (2, [1] * 6)


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_report_is_over_what_one_may_see(world: World, engine: Engine) -> None:
    owner, admin, editor, stranger = await world.people(4)
    project = await world.project(owner, name="Bridge", admins=[admin], editors=[editor])
    start = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
    await world.rows(
        entry(owner, start, 1, project=project, tags=["x"]),
        entry(editor, start, 2, project=project, tags=["X", "y"], is_billable=True),
        entry(editor, start, 4),
        entry(stranger, start, 8),
    )
    totals = {}
    for person in (owner, admin, editor, stranger):
        reply = await world.run(REPORT, person, engine=engine, groupBy=["USER", "PROJECT", "DAY"])
        totals[person.username] = reply.good["timeReport"]["total"]
    assert list(totals.values()) == [3, 3, 6, 8]
    reply = await world.run(REPORT, owner, engine=engine, groupBy=["PROJECT", "TAG"])
    (group,) = reply.good["timeReport"]["groups"]
    assert (group["project"]["name"], group["total"], group["count"]) == ("Bridge", 3, 2)
    by_tag = [(inner["tag"].lower(), inner["total"]) for inner in group["groups"]]
    assert by_tag == [("x", 3), ("y", 2)]
    entries = {"entries": {"tags": {"some": {"eq": "y"}}, "user": {"id": {"eq": gid(editor)}}}}
    reply = await world.run(REPORT, owner, engine=engine, filter=entries, groupBy=["BILLABLE"])
    assert reply.good["timeReport"]["total"] == 2
    assert reply.good["timeReport"]["groups"][0]["isBillable"] is True
    # Time in a project that one has left is still one's own, but the project is not.
    await world.run(
        """mutation ($id: ID!) { projectMemberRemove(input: {id: $id}) { errors { code } } }""",
        owner,
        id=await membership(world, owner, project, editor),
    )
    reply = await world.run(REPORT, editor, engine=engine, groupBy=["PROJECT"])
    (group,) = reply.good["timeReport"]["groups"]
    assert (group["project"], group["total"], group["count"]) == (None, 6, 2)


async def membership(world: World, owner: Person, project: models.Project, member: Person) -> str:
    query = """query ($id: ID!) {
      project(id: $id) { members { nodes { id user { username } } } }
    }"""
    nodes = (await world.run(query, owner, id=gid(project))).good["project"]["members"]["nodes"]
    return str(next(node["id"] for node in nodes if node["user"]["username"] == member.username))


async def test_a_running_timer_counts_up_to_now(world: World) -> None:
    ada = await world.person()
    started = dt.datetime.now(dt.UTC).replace(microsecond=0) - dt.timedelta(hours=30)
    await world.rows(entry(ada, started, None))
    reply = await world.run(REPORT, ada, groupBy=["DAY"], zone="Pacific/Apia")
    report = reply.good["timeReport"]
    assert 30 * 3600 <= report["total"] < 30 * 3600 + 100
    assert sum(group["total"] for group in report["groups"]) == report["total"]


@pytest.mark.parametrize(
    ("given_", "path"),
    [
        ({"zone": "Mars/Olympus"}, ["timezone"]),
        ({"groupBy": ["DAY", "DAY"]}, ["groupBy", "1"]),
        ({"filter": {"firstDay": "2026-02-02", "lastDay": "2026-02-01"}}, ["filter", "lastDay"]),
    ],
    ids=str,
)
async def test_what_cannot_be_reported(
    world: World, given_: dict[str, Any], path: list[str]
) -> None:
    ada = await world.person()
    reply = await world.run(REPORT, ada, **given_)
    assert reply.codes == ["BAD_USER_INPUT"]
    assert reply.errors[0]["extensions"]["argumentPath"] == path


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_report_takes_few_statements(world: World, engine: Engine) -> None:
    ada = await world.person()
    start = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
    for n in range(5):
        project = await world.project(ada, name=f"No. {n}")
        await world.rows(
            *(entry(ada, start + dt.timedelta(days=d), 60, project=project) for d in range(4))
        )
    reply = await world.run(REPORT, ada, engine=engine, groupBy=["PROJECT", "USER", "DAY"])
    groups = reply.good["timeReport"]["groups"]
    assert [len(group["groups"][0]["groups"]) for group in groups] == [4] * 5
    assert len(reply.statements) <= 4, reply.statements


# --- entries of groups ---------------------------------------------------------------------------

GROUPED = """query ($filter: TimeReportFilter, $groupBy: [TimeReportGroupBy!], $after: String) {
  timeReport(filter: $filter, groupBy: $groupBy, timezone: "UTC") {
    timeEntries { totalCount nodes { id } }
    groups {
      project { name } task { title } user { username } count total
      timeEntries(first: 2, after: $after, orderBy: [{startedAt: ASC}]) {
        totalCount nodes { id startedAt } pageInfo { hasNextPage endCursor }
      }
      groups { user { username } timeEntries(last: 1) { nodes { id } } }
    }
  }
}"""


def ids_of(page: Any) -> list[str]:
    return [node["id"] for node in page["nodes"]]


@pytest.mark.parametrize("engine", ENGINES)
async def test_the_entries_of_a_report_are_those_one_may_see(world: World, engine: Engine) -> None:
    owner, editor, stranger = await world.people(3)
    project = await world.project(owner, name="Bridge", editors=[editor])
    start = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
    of_owner, of_editor, apart, hidden = entries = [
        entry(owner, start, 1, project=project),
        entry(editor, start, 2, project=project, is_billable=True),
        entry(editor, start, 4),
        entry(stranger, start, 8),
    ]
    await world.rows(*entries)

    async def seen(person: Person, **given: Any) -> tuple[list[str], list[list[str]]]:
        reply = await world.run(GROUPED, person, engine=engine, **given)
        report = reply.good["timeReport"]
        groups = [sorted(ids_of(group["timeEntries"])) for group in report["groups"]]
        return sorted(ids_of(report["timeEntries"])), groups

    def named(*rows: models.TimeEntry) -> list[str]:
        return sorted(gid(row) for row in rows)

    by_project = {"groupBy": ["PROJECT", "USER"]}
    both = named(of_owner, of_editor)
    assert await seen(owner, **by_project) == (both, [both])
    assert await seen(editor, **by_project) == (
        named(of_editor, apart),
        [named(apart), named(of_editor)],
    )
    assert await seen(stranger, **by_project) == (named(hidden), [named(hidden)])
    billable = {"filter": {"entries": {"isBillable": True}}, "groupBy": ["USER"]}
    assert await seen(owner, **billable) == (named(of_editor), [named(of_editor)])
    # The project of one's own time is hidden, and so is in one group with no project.
    left = await membership(world, owner, project, editor)
    remove = "mutation ($id: ID!) { projectMemberRemove(input: {id: $id}) { errors { code } } }"
    assert (await world.run(remove, owner, id=left)).good
    mine = named(of_editor, apart)
    assert await seen(editor, **by_project) == (mine, [mine])


@pytest.mark.parametrize("engine", ENGINES)
async def test_tasks_that_are_hidden_or_none_are_one_group(world: World, engine: Engine) -> None:
    ada, bob = await world.people(2)
    shared = await world.task(bob, "Shared")
    own = await world.task(ada, "Own")
    share = """mutation ($input: TaskShareCreateInput!) {
      taskShareCreate(input: $input) { taskShare { id } errors { code } }
    }"""
    made = await world.run(share, bob, input={"taskId": gid(shared), "userId": gid(ada)})
    share_id = made.good["taskShareCreate"]["taskShare"]["id"]
    start = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
    rows = [entry(ada, start, seconds) for seconds in (1, 2, 4)]
    rows[0].task_id, rows[1].task_id = shared.id, own.id
    await world.rows(*rows)

    async def groups() -> dict[str | None, list[str]]:
        reply = await world.run(GROUPED, ada, engine=engine, groupBy=["TASK"])
        return {
            group["task"] and group["task"]["title"]: sorted(ids_of(group["timeEntries"]))
            for group in reply.good["timeReport"]["groups"]
        }

    first, second, third = (gid(row) for row in rows)
    assert await groups() == {"Shared": [first], "Own": [second], None: [third]}
    end = "mutation ($id: ID!) { taskShareDelete(input: {id: $id}) { errors { code } } }"
    assert (await world.run(end, bob, id=share_id)).good
    assert await groups() == {"Own": [second], None: sorted([first, third])}


@pytest.mark.parametrize("engine", ENGINES)
async def test_entries_of_groups_come_in_pages(world: World, engine: Engine) -> None:
    ada = await world.person()
    start = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
    rows = [entry(ada, start + dt.timedelta(hours=n), 60) for n in range(5)]
    # Of this one, only the time after midnight counts.
    early = entry(ada, dt.datetime(2026, 3, 1, 23, 30, tzinfo=dt.UTC), 3600)
    await world.rows(*rows, early)
    given_: dict[str, Any] = {
        "filter": {"firstDay": "2026-03-02", "lastDay": "2026-03-02"},
        "groupBy": ["USER"],
    }
    found: list[str] = []
    after = None
    while True:
        reply = await world.run(GROUPED, ada, engine=engine, after=after, **given_)
        (group,) = reply.good["timeReport"]["groups"]
        page = group["timeEntries"]
        assert (page["totalCount"], group["count"], group["total"]) == (6, 6, 1800 + 300)
        found += ids_of(page)
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert found == [gid(row) for row in (early, *rows)]
    reply = await world.run(GROUPED.replace("first: 2", "first: 101"), ada, engine=engine, **given_)
    assert reply.codes == ["BAD_USER_INPUT"]


async def test_entries_of_many_groups_take_one_statement(world: World) -> None:
    ada = await world.person()
    start = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
    await world.rows(*(entry(ada, start + dt.timedelta(days=n), 60) for n in range(200)))
    document = """query ($last: Date) {
      timeReport(groupBy: [DAY], filter: {lastDay: $last}) {
        groups { day timeEntries(first: 3) { totalCount nodes { startedAt day } } }
      }
    }"""
    # The report and its entries.
    reply = await world.run(document, ada)
    assert [
        (group["timeEntries"]["totalCount"], group["timeEntries"]["nodes"][0]["startedAt"][:10])
        for group in reply.good["timeReport"]["groups"]
    ] == [(1, group["day"]) for group in reply.good["timeReport"]["groups"]]
    assert len(reply.good["timeReport"]["groups"]) == 200
    assert len(reply.statements) == 2, reply.statements
    await world.rows(entry(ada, start + dt.timedelta(days=200), 60))
    reply = await world.run(document, ada)
    assert reply.codes == ["LIMIT_EXCEEDED"]
    (error,) = reply.errors
    assert error["extensions"]["argumentPath"] == ["groupBy"]
    # As many as that are no matter where their entries are not asked for.
    assert (await world.run(document, ada, last="2026-03-31")).good
    assert (await world.run("{ timeReport(groupBy: [DAY]) { groups { total } } }", ada)).good
