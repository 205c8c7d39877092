"""Reminders, as their owners make and find them; nobody else does."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.accounts import Person
from tests.factories import ENGINES, Engine, Reply, World, fresh_id, gid, missing

NOW = dt.datetime(2026, 11, 18, 12, 0, tzinfo=dt.UTC)

RULE = """rule {
  __typename ... on ReminderDue { offset } ... on ReminderStart { offset }
  ... on ReminderOnce { at } ... on ReminderDaily { time timezone }
  ... on ReminderWeekly { days time timezone } ... on ReminderMonthly { day time timezone }
}"""
FIELDS = f"""id {RULE} message channels isEnabled disabledReason nextRunAt lastRunAt
  nextRuns(first: 3) version owner {{ id }} task {{ id }} project {{ id }}"""
CREATE = f"""mutation ($input: ReminderCreateInput!) {{
  reminderCreate(input: $input) {{
    reminder {{ {FIELDS} }} replayed errors {{ code path message }}
  }}
}}"""
UPDATE = f"""mutation ($input: ReminderUpdateInput!) {{
  reminderUpdate(input: $input) {{
    reminder {{ {FIELDS} }} errors {{ code path message conflictingFields }}
  }}
}}"""
DELETE = """mutation ($input: ReminderDeleteInput!) {
  reminderDelete(input: $input) { reminder { id } deletedId errors { code path } }
}"""
ONE = "query ($id: ID!) { reminder(id: $id) { id nextRunAt } }"
LIST = """query ($filter: ReminderFilter, $orderBy: [ReminderOrder!], $first: Int) {
  viewer {
    reminders(filter: $filter, orderBy: $orderBy, first: $first) {
      totalCount nodes {
        message nextRuns rule { ... on ReminderDaily { time } } task { title } owner { username }
      }
    }
  }
}"""
PREVIEW = """query ($rule: ReminderRuleInput!, $taskId: ID, $first: Int) {
  reminderPreview(rule: $rule, taskId: $taskId, first: $first)
}"""
DAILY = {"daily": {"time": "09:00", "timezone": "Europe/Zurich"}}


async def create(world: World, person: Person, **given: Any) -> Reply:
    return await world.run(CREATE, person, at=NOW, input={"message": "Roses", **given})


async def created(world: World, person: Person, **given: Any) -> Any:
    return (await create(world, person, **given)).good["reminderCreate"]["reminder"]


async def update(world: World, person: Person, **given: Any) -> Reply:
    return await world.run(UPDATE, person, at=NOW, input=given)


def failure(reply: Reply) -> tuple[str, str]:
    assert not reply.errors, reply.errors
    (error,) = reply.user_errors
    return error["code"], ".".join(error["path"])


# --- making --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "shown", "runs"),
    [
        (
            {"once": {"at": "2026-11-18T14:00:00+01:00"}},
            {"once": {"at": "2026-11-18T13:00:00Z"}},
            ["2026-11-18T13:00:00Z"],
        ),
        (
            DAILY,
            DAILY,
            ["2026-11-19T08:00:00Z", "2026-11-20T08:00:00Z", "2026-11-21T08:00:00Z"],
        ),
        (
            {"weekly": {"days": ["FRIDAY", "MONDAY", "FRIDAY"], "time": "23:59"}},
            {"weekly": {"days": ["MONDAY", "FRIDAY"], "time": "23:59", "timezone": "UTC"}},
            ["2026-11-20T23:59:00Z", "2026-11-23T23:59:00Z", "2026-11-27T23:59:00Z"],
        ),
        (
            {"monthly": {"time": "00:00"}},
            {"monthly": {"day": None, "time": "00:00", "timezone": "UTC"}},
            ["2026-11-30T00:00:00Z", "2026-12-31T00:00:00Z", "2027-01-31T00:00:00Z"],
        ),
        (
            {"monthly": {"day": 15, "time": "12:30", "timezone": "Asia/Kolkata"}},
            {"monthly": {"day": 15, "time": "12:30", "timezone": "Asia/Kolkata"}},
            ["2026-12-15T07:00:00Z", "2027-01-15T07:00:00Z", "2027-02-15T07:00:00Z"],
        ),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
async def test_a_rule_is_shown_as_it_was_given_with_its_next_runs(
    world: World, engine: Engine, rule: Any, shown: Any, runs: list[str]
) -> None:
    ada = await world.person()
    reply = await world.run(
        CREATE, ada, engine=engine, at=NOW, input={"message": "Roses", "rule": rule}
    )
    reminder = reply.good["reminderCreate"]["reminder"]
    ((kind, values),) = shown.items()
    assert reminder["rule"] == {"__typename": f"Reminder{kind.title()}", **values}
    assert reminder["nextRuns"] == runs
    assert reminder["nextRunAt"] == runs[0]
    assert reminder["channels"] == ["IN_APP"]
    assert reminder["owner"] == {"id": gid(ada)}
    preview = await world.run(PREVIEW, ada, engine=engine, at=NOW, rule=rule, first=3)
    assert preview.good["reminderPreview"] == runs


async def test_a_time_without_a_zone_is_meant_in_ones_own(world: World) -> None:
    ada = await world.person(timezone="America/New_York")
    reminder = await created(world, ada, rule={"daily": {"time": "09:00"}})
    assert reminder["rule"]["timezone"] == "America/New_York"
    assert reminder["nextRunAt"] == "2026-11-18T14:00:00Z"


async def test_rules_by_a_tasks_times(world: World) -> None:
    ada = await world.person()
    task = await world.task(
        ada, due_at=NOW + dt.timedelta(hours=2), start_at=NOW + dt.timedelta(hours=1)
    )
    before = {"due": {"offset": -1800}}
    reminder = await created(world, ada, rule=before, taskId=gid(task), message=None)
    assert reminder["nextRuns"] == ["2026-11-18T13:30:00Z"]
    assert reminder["rule"] == {"__typename": "ReminderDue", "offset": -1800}
    assert reminder["task"] == {"id": gid(task)}
    after = {"start": {"offset": 900}}
    reminder = await created(world, ada, rule=after, taskId=gid(task))
    assert reminder["nextRuns"] == ["2026-11-18T13:15:00Z"]
    assert reminder["rule"] == {"__typename": "ReminderStart", "offset": 900}
    too_late = {"due": {"offset": -10800}}
    reminder = await created(world, ada, rule=too_late, taskId=gid(task))
    assert (reminder["nextRunAt"], reminder["nextRuns"]) == (None, [])
    preview = await world.run(PREVIEW, ada, at=NOW, rule=before, taskId=gid(task))
    assert preview.good["reminderPreview"] == ["2026-11-18T13:30:00Z"]
    other = await world.person()
    hidden = await world.run(PREVIEW, other, rule=before, taskId=gid(task))
    nothing = await world.run(PREVIEW, other, rule=before, taskId=missing(gid(task)))
    assert hidden.codes == nothing.codes == ["NOT_FOUND"]
    assert (await world.run(PREVIEW, ada, rule=before)).codes == ["BAD_USER_INPUT"]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"rule": {"once": {"at": "2026-11-18T12:00:00Z"}}}, "rule.once.at"),
        ({"rule": {"once": {"at": "1066-10-14T09:00:00Z"}}}, "rule.once.at"),
        ({"rule": {"daily": {"time": "9:00"}}}, "rule.daily.time"),
        ({"rule": {"daily": {"time": "24:00"}}}, "rule.daily.time"),
        ({"rule": {"daily": {"time": "09:00", "timezone": "Mars"}}}, "rule.daily.timezone"),
        ({"rule": {"weekly": {"days": [], "time": "09:00"}}}, "rule.weekly.days"),
        ({"rule": {"monthly": {"day": 0, "time": "09:00"}}}, "rule.monthly.day"),
        ({"rule": {"monthly": {"day": 32, "time": "09:00"}}}, "rule.monthly.day"),
        ({"rule": {"due": {"offset": -600}}}, "taskId"),
        ({"rule": DAILY, "message": "  "}, "message"),
        ({"rule": DAILY, "message": "x" * 501}, "message"),
        ({"rule": DAILY, "channels": []}, "channels"),
    ],
)
async def test_what_makes_no_sense_is_refused_where_it_stands(
    world: World, given: Any, path: str
) -> None:
    ada = await world.person()
    assert failure(await create(world, ada, **given)) == ("BAD_USER_INPUT", f"input.{path}")


async def test_an_offset_is_at_most_a_year(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada)
    reply = await create(world, ada, taskId=gid(task), rule={"due": {"offset": 10**8}})
    assert failure(reply) == ("BAD_USER_INPUT", "input.rule.due.offset")


async def test_a_rule_is_exactly_one_of_its_kinds(world: World) -> None:
    ada = await world.person()
    both = {**DAILY, "once": {"at": "2030-01-01T00:00:00Z"}}
    for rule in ({}, both, {"daily": None}):
        reply = await create(world, ada, rule=rule)
        assert reply.errors
        assert reply.data is None or reply.data["reminderCreate"] is None


async def test_of_what_one_does_not_see_there_is_no_reminder(world: World) -> None:
    ada, bob = await world.people(2)
    task, project = await world.task(bob), await world.project(bob)
    for name, thing in (("taskId", task), ("projectId", project)):
        hidden = await create(world, ada, rule=DAILY, **{name: gid(thing)})
        nothing = await create(world, ada, rule=DAILY, **{name: missing(gid(thing))})
        assert failure(hidden) == failure(nothing) == ("NOT_FOUND", f"input.{name}")
        assert hidden.user_errors == nothing.user_errors
    own = await world.task(ada)
    both = await create(world, ada, rule=DAILY, taskId=gid(own), projectId=gid(project))
    assert failure(both) == ("BAD_USER_INPUT", "input.projectId")


async def test_an_id_of_ones_own_and_a_key_against_repeats(world: World) -> None:
    ada = await world.person()
    id_ = f"reminder_{fresh_id().hex}"
    made = await create(world, ada, rule=DAILY, id=id_, idempotencyKey="once")
    again = await create(world, ada, rule=DAILY, id=id_, idempotencyKey="once")
    assert again.good["reminderCreate"]["replayed"]
    assert again.data["reminderCreate"]["reminder"] == made.data["reminderCreate"]["reminder"]
    assert failure(await create(world, ada, rule=DAILY, id=id_)) == ("ALREADY_EXISTS", "input.id")


# --- changing ------------------------------------------------------------------------------------


async def test_a_reminder_is_changed_turned_off_and_on_again(world: World) -> None:
    ada = await world.person()
    made = await created(world, ada, rule=DAILY)
    reply = await update(
        world,
        ada,
        id=made["id"],
        rule={"once": {"at": "2026-12-01T00:00:00Z"}},
        message="Tulips",
        channels=["WEBHOOK", "EMAIL"],
        ifVersion=1,
    )
    changed = reply.good["reminderUpdate"]["reminder"]
    at = "2026-12-01T00:00:00Z"
    assert changed["rule"] == {"__typename": "ReminderOnce", "at": at}
    assert changed["nextRunAt"] == at
    assert (changed["message"], changed["channels"]) == ("Tulips", ["EMAIL", "WEBHOOK"])
    assert changed["version"] == 2
    off = (await update(world, ada, id=made["id"], isEnabled=False)).good["reminderUpdate"]
    assert (off["reminder"]["nextRunAt"], off["reminder"]["nextRuns"]) == (None, [])
    on = (await update(world, ada, id=made["id"], isEnabled=True)).good["reminderUpdate"]
    assert on["reminder"]["nextRuns"] == ["2026-12-01T00:00:00Z"]
    same = (await update(world, ada, id=made["id"], isEnabled=True)).good["reminderUpdate"]
    assert same["reminder"]["version"] == on["reminder"]["version"] == 4


async def test_a_change_of_an_older_version_is_a_conflict(world: World) -> None:
    ada = await world.person()
    made = await created(world, ada, rule=DAILY)
    await update(world, ada, id=made["id"], message="Tulips")
    reply = await update(world, ada, id=made["id"], message="Poppies", ifVersion=1)
    assert failure(reply) == ("CONFLICT", "input.ifVersion")
    assert reply.user_errors[0]["conflictingFields"] == ["message"]
    assert reply.data["reminderUpdate"]["reminder"]["message"] == "Tulips"


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"rule": None}, "rule"),
        ({"isEnabled": None}, "isEnabled"),
        ({"channels": None}, "channels"),
        ({"message": None}, "message"),
        ({"rule": {"due": {"offset": 0}}}, "rule"),
        ({"rule": {"once": {"at": "2026-01-01T00:00:00Z"}}}, "rule.once.at"),
    ],
)
async def test_what_cannot_be_changed_so_is_refused(world: World, given: Any, path: str) -> None:
    ada = await world.person()
    made = await created(world, ada, rule=DAILY)
    reply = await update(world, ada, id=made["id"], **given)
    assert failure(reply) == ("BAD_USER_INPUT", f"input.{path}")


async def test_it_cannot_be_turned_on_for_what_is_out_of_sight(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, viewers=[bob])
    made = await created(world, bob, rule=DAILY, projectId=gid(project), isEnabled=False)
    assert made["project"] == {"id": gid(project)}
    gone = "mutation ($input: ProjectDeleteInput!) { projectDelete(input: $input) { deletedId } }"
    await world.run(gone, ada, input={"id": gid(project)})
    reply = await update(world, bob, id=made["id"], isEnabled=True)
    assert failure(reply) == ("NOT_FOUND", "input.id")
    # What is left of it can be changed and deleted.
    reply = await update(world, bob, id=made["id"], message="Never mind")
    assert reply.good["reminderUpdate"]["reminder"]["project"] is None


async def test_a_reminder_is_deleted_for_good(world: World) -> None:
    ada = await world.person()
    made = await created(world, ada, rule=DAILY)
    stale = await world.run(DELETE, ada, input={"id": made["id"], "ifVersion": 7})
    assert failure(stale) == ("CONFLICT", "input.ifVersion")
    reply = await world.run(DELETE, ada, input={"id": made["id"]})
    assert reply.good["reminderDelete"] == {
        "reminder": None,
        "deletedId": made["id"],
        "errors": [],
    }
    assert (await world.run(ONE, ada, id=made["id"])).codes == ["NOT_FOUND"]


# --- finding -------------------------------------------------------------------------------------


async def test_nobody_else_finds_or_touches_a_reminder(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, admins=[bob])
    made = await created(world, ada, rule=DAILY, projectId=gid(project))
    assert (await world.run(ONE, ada, id=made["id"])).good["reminder"]["id"] == made["id"]
    assert (await world.run(ONE, bob, id=made["id"])).codes == ["NOT_FOUND"]
    assert (await world.run(LIST, bob)).good["viewer"]["reminders"]["totalCount"] == 0
    assert failure(await update(world, bob, id=made["id"], message="x"))[0] == "NOT_FOUND"
    assert failure(await world.run(DELETE, bob, input={"id": made["id"]}))[0] == "NOT_FOUND"
    changes = """query ($filter: EventFilter) {
      viewer { activity(filter: $filter) { nodes { kind summary subject { __typename } } } }
    }"""
    wanted = {"kind": {"eq": "REMINDER_CREATED"}}
    (entry,) = (await world.run(changes, ada, filter=wanted)).good["viewer"]["activity"]["nodes"]
    assert entry["subject"] == {"__typename": "Reminder"}
    assert entry["summary"].endswith("created a reminder")


async def test_lists_are_filtered_and_ordered(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada, "Dig", due_at=NOW + dt.timedelta(days=1))
    await created(world, ada, message="daily", rule=DAILY)
    once = await created(world, ada, message="once", rule={"once": {"at": "2026-11-18T13:00:00Z"}})
    project = await world.project(ada, name="Garden")
    await created(world, ada, message="off", rule=DAILY, isEnabled=False, projectId=gid(project))
    await created(world, ada, message="due", rule={"due": {"offset": 0}}, taskId=gid(task))

    async def found(**options: Any) -> list[str]:
        reply = await world.run(LIST, ada, **options)
        return [node["message"] for node in reply.good["viewer"]["reminders"]["nodes"]]

    by_run: list[Any] = [{"nextRunAt": "ASC"}]
    assert await found(orderBy=by_run) == ["once", "daily", "due", "off"]
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"isEnabled": False}, ["off"]),
        ({"ruleKind": {"in": ["ONCE", "DUE"]}}, ["once", "due"]),
        ({"ruleKind": {"eq": "ONCE"}}, ["once"]),
        ({"ruleKind": {"notEq": "DAILY"}}, ["once", "due"]),
        ({"ruleKind": {"notIn": ["DAILY", "DUE"]}}, ["once"]),
        ({"id": {"eq": once["id"]}}, ["once"]),
        ({"project": {"name": {"contains": "Garden"}}}, ["off"]),
        ({"project": {"id": {"eq": gid(project)}}}, ["off"]),
        ({"createdAt": {"lt": "2026-11-18T12:00:00Z"}}, []),
        ({"updatedAt": {"lte": "2026-11-18T12:00:00Z"}}, ["once", "daily", "due", "off"]),
        ({"task": {"title": {"eq": "Dig"}}}, ["due"]),
        ({"task": {"id": {"eq": gid(task)}}}, ["due"]),
        ({"task": {"isNull": True}, "project": {"isNull": True}}, ["once", "daily"]),
        ({"nextRunAt": {"isNull": True}}, ["off"]),
        ({"nextRunAt": {"lt": "2026-11-18T14:00:00Z"}}, ["once"]),
        ({"lastRunAt": {"isNull": False}}, []),
        ({"message": {"contains": "D"}, "not": {"isEnabled": False}}, ["daily", "due"]),
        ({"or": [{"message": {"eq": "once"}}, {"isEnabled": False}]}, ["once", "off"]),
    ]
    for filter_, expected in cases:
        assert await found(orderBy=by_run, filter=filter_) == expected, filter_


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_list_takes_a_statement_a_level_however_long_it_is(
    world: World, engine: Engine
) -> None:
    ada = await world.person()
    counts = []
    for number in range(1, 7):
        task = await world.task(ada, f"Task {number}")
        await created(world, ada, rule=DAILY, taskId=gid(task))
        reply = await world.run(LIST, ada, engine=engine, first=50)
        assert reply.good["viewer"]["reminders"]["totalCount"] == number
        counts.append(len(reply.statements))
    # The page, its count, the tasks and the owner; fewer once it has come a few times.
    assert max(counts) <= 4
    assert counts == sorted(counts, reverse=True)


async def test_the_signed_out_have_no_reminders(world: World) -> None:
    assert (await world.run(LIST, None)).good == {"viewer": None}
    assert (await world.run(PREVIEW, None, rule=DAILY)).codes == ["UNAUTHENTICATED"]
