"""Many time entries at once: corrected or deleted, by the rules of the single mutations."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from typing import Any

import pytest

from db import models
from domain.projects.project import set_archived
from domain.time import time_entry
from domain.time.time_values import NewTimeEntry
from domain.time.times import Range
from tests.accounts import Person
from tests.factories import ENGINES, Engine, Reply, World, gid, missing
from tests.graph.time.time_calls import LIST, NOW, START, at, created, during, lasting
from tests.waiting import begun_beside

RESULTS = """
    doneCount validCount replayed errors { code path }
    results {
      index deletedId errors { code path }
      timeEntry { id description startedAt endedAt duration isBillable tags version
                  task { title } project { key } }
    }
"""
UPDATE = f"""mutation ($input: TimeEntryBulkUpdateInput!) {{
  timeEntryBulkUpdate(input: $input) {{ {RESULTS} }}
}}"""
DELETE = f"""mutation ($input: TimeEntryBulkDeleteInput!) {{
  timeEntryBulkDelete(input: $input) {{ {RESULTS} }}
}}"""
MANY = "query { timeEntries(first: 100, orderBy: [{startedAt: ASC}]) { nodes { startedAt } } }"


async def bulk(world: World, who: Person, document: str, items: list[Any], **given: Any) -> Reply:
    return await world.run(document, who, at=NOW, input={"items": items, **given})


def payload(reply: Reply) -> Any:
    """The payload, errors in it or not."""
    assert reply.errors == []
    (found,) = reply.data.values()
    return found


def codes(found: Any) -> list[str | None]:
    """The code of each item's error, and where it is."""
    return [
        f"{item['errors'][0]['code']} {item['errors'][0]['path'][-1]}" if item["errors"] else None
        for item in found["results"]
    ]


async def strict_project(world: World, owner: Person) -> models.Project:
    project = await world.project(owner)
    query = "mutation ($id: ID!) { projectUpdate(input: {id: $id, isOverlapAllowed: false}) "
    assert (await world.run(query + "{ errors { code } } }", owner, id=gid(project))).good
    return project


async def kinds_of(world: World, who: Person) -> list[str]:
    query = "{ viewer { activity(first: 100) { nodes { kind } } } }"
    nodes = (await world.run(query, who)).good["viewer"]["activity"]["nodes"]
    return [node["kind"] for node in nodes if node["kind"].startswith("TIME")]


# --- changing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
async def test_many_entries_are_corrected_at_once(world: World, engine: Engine) -> None:
    ada = await world.person()
    project = await world.project(ada)
    task = await world.task(ada, "Digging", project_id=project.id)
    entries = [await created(world, ada, at(hour), at(hour, 30)) for hour in range(6, 10)]
    items = [
        {"id": entries[0]["id"], "time": {"startedAt": at(6, 10)}, "isBillable": True},
        {"id": entries[1]["id"], "time": lasting(at(7), 60), "tags": ["a", "A", "b"]},
        {"id": entries[2]["id"], "taskId": gid(task), "description": "Dug"},
        {"id": entries[3]["id"], "ifVersion": 1},
    ]
    reply = await world.run(UPDATE, ada, at=NOW, engine=engine, input={"items": items})
    found = payload(reply)
    assert (found["doneCount"], found["validCount"], found["errors"]) == (4, 4, [])
    changed = [result["timeEntry"] for result in found["results"]]
    assert (changed[0]["startedAt"], changed[0]["isBillable"]) == (at(6, 10), True)
    assert (changed[1]["endedAt"], changed[1]["tags"]) == (at(7, 1), ["a", "b"])
    assert changed[2]["task"] == {"title": "Digging"}
    assert changed[2]["project"] == {"key": project.key}
    assert [entry["version"] for entry in changed] == [2, 2, 2, 1]
    assert (await kinds_of(world, ada)).count("TIME_ENTRY_UPDATED") == 3


async def test_each_item_fails_by_the_rules_of_a_single_update(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, editors=[bob])
    lock = "mutation ($id: ID!, $day: Date) { projectUpdate(input: {id: $id, timeLockedBefore: $day"
    locked = await created(world, ada, at(8, day=3), at(9, day=3), projectId=gid(project))
    others = await created(world, bob, at(8), at(9), projectId=gid(project))
    hidden = await created(world, bob, at(8), at(9))
    mine = [await created(world, ada, at(hour), at(hour, 30)) for hour in range(1, 7)]
    text = lock + "}) { errors { code } } }"
    assert (await world.run(text, ada, id=gid(project), day="2026-11-10")).good
    items = [
        {"id": locked["id"], "description": "late"},
        {"id": mine[0]["id"], "projectId": gid(project), "time": {"startedAt": at(8, day=9)}},
        {"id": others["id"], "description": "x"},
        {"id": hidden["id"], "description": "x"},
        {"id": missing(mine[0]["id"]), "description": "x"},
        {"id": mine[1]["id"], "ifVersion": 7, "description": "x"},
        {"id": mine[2]["id"], "time": {"endedAt": at(1)}},
        {"id": mine[3]["id"], "time": {"endedAt": at(23)}},
        {"id": mine[4]["id"], "description": "good"},
        {"id": mine[4]["id"], "description": "again"},
        {"id": "nonsense", "description": "x\x07"},
        {"id": mine[5]["id"], "projectId": missing(gid(project))},
    ]
    expected = [
        "TIME_LOCKED id",
        "BAD_USER_INPUT allowOver24Hours",
        "FORBIDDEN id",
        "NOT_FOUND id",
        "NOT_FOUND id",
        "CONFLICT ifVersion",
        "BAD_USER_INPUT endedAt",
        "BAD_USER_INPUT endedAt",
        None,
        "BAD_USER_INPUT id",
        "BAD_USER_INPUT id",
        "NOT_FOUND projectId",
    ]
    items[1]["time"] = during(at(8, day=9), at(9, day=9))
    expected[1] = "TIME_LOCKED startedAt"
    for options, done in (({}, 0), ({"dryRun": True}, 0), ({"onError": "CONTINUE"}, 1)):
        found = payload(await bulk(world, ada, UPDATE, items, **options))
        assert codes(found) == expected
        assert (found["doneCount"], found["validCount"]) == (done, 1)
    assert [result["timeEntry"] is not None for result in found["results"]] == [
        index in {5, 8} for index in range(len(items))
    ]
    # Both errors of one item.
    assert len(found["results"][10]["errors"]) == 2
    assert (await kinds_of(world, ada)).count("TIME_ENTRY_UPDATED") == 1


async def test_two_entries_swap_their_times(world: World) -> None:
    ada = await world.person()
    project = await strict_project(world, ada)
    one = await created(world, ada, at(8), at(9), projectId=gid(project))
    two = await created(world, ada, at(9), at(10), projectId=gid(project))
    items = [
        {"id": one["id"], "time": during(at(9), at(10))},
        {"id": two["id"], "time": during(at(8), at(9))},
    ]
    found = payload(await bulk(world, ada, UPDATE, items))
    assert (found["doneCount"], found["errors"]) == (2, [])
    # With one of them alone, the other one is still there.
    back = [{"id": one["id"], "time": during(at(8), at(9))}]
    assert codes(payload(await bulk(world, ada, UPDATE, back))) == ["TIME_OVERLAP startedAt"]
    # And so it is if the other one fails.
    back.append({"id": two["id"], "time": during(at(9), at(10)), "ifVersion": 9})
    found = payload(await bulk(world, ada, UPDATE, back, onError="CONTINUE"))
    assert codes(found) == ["TIME_OVERLAP startedAt", "CONFLICT ifVersion"]
    assert found["doneCount"] == 0


Times = tuple[int, int]


def _model(
    entries: Sequence[tuple[Times, bool]], moves: dict[int, Times], failed: set[int]
) -> list[tuple[Times, bool]]:
    """The entries after the moves that did not fail."""
    return [
        (moves[index] if index in moves and index not in failed else times, strict)
        for index, (times, strict) in enumerate(entries)
    ]


def _overlaps(entries: Sequence[tuple[Times, bool]], index: int) -> bool:
    (start, end), strict = entries[index]
    return any(
        (strict or other) and start < until and since < end
        for place, ((since, until), other) in enumerate(entries)
        if place != index
    )


@pytest.mark.parametrize("seed", range(6))
async def test_moved_entries_never_overlap_where_that_is_forbidden(world: World, seed: int) -> None:
    """Minutes of a morning, drawn at random, against a list in Python."""
    draw = random.Random(seed)
    ada = await world.person()
    strict = await strict_project(world, ada)
    start = NOW.replace(hour=0, minute=0, microsecond=0)

    def moment(minute: int) -> str:
        return (start + dt.timedelta(minutes=minute)).isoformat()

    entries: list[tuple[Times, bool]] = []
    ids: list[str] = []
    for number in range(10):
        # Apart at first.
        times, tight = (number * 10, number * 10 + draw.randint(1, 10)), draw.random() < 0.7
        given = {"projectId": gid(strict)} if tight else {}
        entry = await created(world, ada, moment(times[0]), moment(times[1]), **given)
        entries.append((times, tight))
        ids.append(entry["id"])
    for _ in range(6):
        moves = {}
        for index in draw.sample(range(10), draw.randint(1, 8)):
            begin = draw.choice([entries[draw.randrange(10)][0][0], draw.randint(0, 95)])
            moves[index] = (begin, begin + draw.randint(1, 12))
        items = [
            {"id": ids[index], "time": during(moment(since), moment(until))}
            for index, (since, until) in moves.items()
        ]
        real = {index for index, times in moves.items() if times != entries[index][0]}
        wanted = _model(entries, moves, set())
        possible = not any(_overlaps(wanted, index) for index in real)
        tried = payload(await bulk(world, ada, UPDATE, items, dryRun=True))
        assert (tried["validCount"] == len(items)) is possible
        done = payload(await bulk(world, ada, UPDATE, items, onError="CONTINUE"))
        failed = {
            index
            for index, code in zip(moves, codes(done), strict=True)
            if code == "TIME_OVERLAP startedAt"
        }
        assert done["doneCount"] == len(items) - len(failed)
        after = _model(entries, moves, failed)
        assert not any(_overlaps(after, index) for index in real - failed)
        # Nothing fails alone without a reason: with one more, something would overlap.
        for index in failed & real:
            more = _model(entries, moves, failed - {index})
            assert _overlaps(more, index) or len(failed) > 1
        entries = after
        stored = (await world.run(MANY, ada)).good["timeEntries"]["nodes"]
        minutes = [
            (dt.datetime.fromisoformat(node["startedAt"]) - start).total_seconds() / 60
            for node in stored
        ]
        assert minutes == sorted(times[0] for times, _ in entries)


async def test_setting_the_end_of_the_running_timer_stops_it(world: World) -> None:
    ada = await world.person()
    early = NOW - dt.timedelta(hours=2)
    reply = await world.run(START, ada, at=early, input={"description": "Forgotten"})
    timer = reply.good["timerStart"]["timeEntry"]
    items = [{"id": timer["id"], "time": {"endedAt": at(11)}}]
    found = payload(await bulk(world, ada, UPDATE, items))
    assert found["results"][0]["timeEntry"]["endedAt"] == at(11)
    assert (await kinds_of(world, ada))[0] == "TIMER_STOPPED"


async def test_the_statements_do_not_grow_with_the_items(world: World) -> None:
    ada = await world.person()
    project = await strict_project(world, ada)
    brief = (
        "mutation ($input: TimeEntryBulk%sInput!) { timeEntryBulk%s(input: $input) "
        "{ results { timeEntry { id } deletedId } errors { code } } }"
    )
    counts: dict[str, list[int]] = {"Update": [], "Delete": []}
    for size in (1, 200):
        items = [
            {
                "time": lasting(at(size % 7, n % 60, n // 60 * 10), 1),
                "projectId": gid(project),
            }
            for n in range(size)
        ]
        made = await bulk(world, ada, brief % ("Create", "Create"), items)
        ids = [result["timeEntry"]["id"] for result in payload(made)["results"]]
        for name, found in counts.items():
            changes: dict[str, Any] = {"isBillable": True} if name == "Update" else {}
            items = [{"id": id_, **changes} for id_ in ids]
            reply = await bulk(
                world, ada, brief % (name, name), items, idempotencyKey=f"{name} {size}"
            )
            assert payload(reply)["errors"] == []
            found.append(len(reply.statements))
    for first, second in counts.values():
        assert first == second <= 14
    assert (await world.run(LIST, ada)).good["timeEntries"]["totalCount"] == 0


async def test_a_repeat_of_a_key_changes_nothing(world: World) -> None:
    ada = await world.person()
    entry = await created(world, ada, at(8), at(9))
    items = [
        {"id": entry["id"], "time": {"endedAt": at(8, 1)}},
        {"id": missing(entry["id"]), "time": {"endedAt": at(8, 1)}},
    ]
    options = {"onError": "CONTINUE", "idempotencyKey": "once"}
    first = payload(await bulk(world, ada, UPDATE, items, **options))
    second = payload(await bulk(world, ada, UPDATE, items, **options))
    assert (first.pop("replayed"), second.pop("replayed")) == (False, True)
    assert first == second
    assert (first["doneCount"], first["validCount"]) == (1, 1)
    assert first["results"][0]["timeEntry"]["version"] == 2


async def test_a_bulk_update_beside_a_new_entry_sees_that_they_overlap(world: World) -> None:
    ada = await world.person()
    project = await strict_project(world, ada)
    entry = await created(world, ada, at(10), at(11), projectId=gid(project))
    eight = NOW.replace(hour=8, microsecond=0)
    new = NewTimeEntry(Range(eight, eight + dt.timedelta(hours=1)), project_id=project.id)
    async with world._work(ada) as work:
        await time_entry.create(work, new)
        later = bulk(world, ada, UPDATE, [{"id": entry["id"], "time": {"startedAt": at(8, 30)}}])
        running = await begun_beside(world.database, work.session, later)
    assert codes(payload(await running)) == ["TIME_OVERLAP startedAt"]


# --- deleting ------------------------------------------------------------------------------------


async def test_many_entries_are_deleted_at_once(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, editors=[bob])
    others = await created(world, bob, at(8), at(9), projectId=gid(project))
    mine = [await created(world, ada, at(hour), at(hour, 30)) for hour in range(4)]
    items = [
        {"id": mine[0]["id"]},
        {"id": others["id"]},
        {"id": mine[1]["id"], "ifVersion": 3},
        {"id": mine[2]["id"], "ifVersion": 1},
        {"id": mine[0]["id"]},
    ]
    expected = [None, "FORBIDDEN id", "CONFLICT ifVersion", None, "BAD_USER_INPUT id"]
    found = payload(await bulk(world, ada, DELETE, items))
    assert (found["doneCount"], found["validCount"], codes(found)) == (0, 2, expected)
    assert [result["deletedId"] for result in found["results"]] == [None] * 5
    found = payload(await bulk(world, ada, DELETE, items, onError="CONTINUE"))
    assert (found["doneCount"], found["validCount"], codes(found)) == (2, 2, expected)
    assert [result["deletedId"] for result in found["results"]] == [
        mine[0]["id"], None, None, mine[2]["id"], None,
    ]  # fmt: skip
    current = found["results"][2]["timeEntry"]
    assert (current["id"], current["version"]) == (mine[1]["id"], 1)
    assert (await world.run(LIST, ada)).good["timeEntries"]["totalCount"] == 3
    assert (await kinds_of(world, ada)).count("TIME_ENTRY_DELETED") == 2
    many = payload(await bulk(world, ada, DELETE, [{"id": mine[1]["id"]}] * 201))
    assert [error["code"] for error in many["errors"]] == ["LIMIT_EXCEEDED"]


async def test_a_project_archived_beside_a_bulk_update_is_read_only(world: World) -> None:
    ada = await world.person()
    project, other = await world.project(ada), await world.project(ada)
    entry = await created(world, ada, at(8), at(9), projectId=gid(project))
    for values in ({"description": "late"}, {"projectId": gid(other)}):
        closed = project if "description" in values else other
        async with world._work(ada) as work:
            await set_archived(work, closed.id, True, None)
            later = bulk(world, ada, UPDATE, [{"id": entry["id"], **values}])
            running = await begun_beside(world.database, work.session, later)
        place = "id" if closed is project else "projectId"
        assert codes(payload(await running)) == [f"PROJECT_ARCHIVED {place}"]
        await world.run(
            "mutation ($id: ID!) { projectUnarchive(input: {id: $id}) { errors { code } } }",
            ada,
            id=gid(closed),
        )
