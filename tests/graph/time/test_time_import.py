"""Imports of time from CSV: layouts, formats, local times, duplicates."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.accounts import Person
from tests.factories import World, gid

IMPORT = """mutation ($input: TimeEntryImportInput!) {
  timeEntryImport(input: $input) {
    doneCount validCount duplicateCount errors { code path message }
    results { row
      timeEntry { id startedAt endedAt day duration description isBillable tags
        task { title } project { name } }
      errors { code path } notices { code column message } }
  }
}"""


async def imported(world: World, person: Person, text: str, **given: Any) -> Any:
    given = {"csv": text, "timezone": "Europe/Berlin", **given}
    reply = await world.run(IMPORT, person, input=given)
    assert not reply.errors, reply.errors
    return reply.data["timeEntryImport"]


def table(rows: Sequence[Sequence[str]], separator: str = ",", newline: str = "\r\n") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator=newline).writerows(rows)
    return text.getvalue()


def entries(done: Any) -> list[Any]:
    assert not done["errors"], done["errors"]
    return [result["timeEntry"] for result in done["results"]]


# --- layouts -------------------------------------------------------------------------------------

CLOCKIFY = """\
"Project","Client","Description","Task","User","Group","Email","Tags","Billable","Start Date",\
"Start Time","End Date","End Time","Duration (h)","Duration (decimal)"
"P","C","d","","A","","a@example.org","x, y","Yes","04/27/2025","09:00:00 AM","04/27/2025",\
"10:00:00 AM","01:00:00","1.00"
"P","C","","Dig","A","","a@example.org","","No","04/05/2025","11:30:00 PM","04/06/2025",\
"12:15:00 AM","00:45:00","0.75"
"""
TOGGL = """\
User,Email,Client,Project,Task,Description,Billable,Start date,Start time,End date,End time,\
Duration,Tags,Amount (EUR)
A,a@example.org,C,P,,d,Yes,2025-04-27,09:00:00,2025-04-27,10:00:00,01:00:00,"x, y",10.00
A,a@example.org,C,P,Dig,,No,2025-04-05,23:30:00,2025-04-06,00:15:00,00:45:00,,
"""
KIMAI = """\
Date,From,To,Duration,Rate,User,Username,Customer,Project,Activity,Description,Exported,Billable,\
Tags,Hourly rate,Fixed rate
2025-04-27,09:00,10:00,1:00,0,A,a,C,P,Talk,d,No,1,"x, y",0,0
2025-04-05,23:30,00:15,2700,0,A,a,C,P,Dig,,No,0,,0,0
"""


@pytest.mark.parametrize("text", [CLOCKIFY, TOGGL, KIMAI], ids=["Clockify", "Toggl", "Kimai"])
async def test_files_of_other_programs_are_read(world: World, text: str) -> None:
    ada = await world.person()
    project = await world.project(ada, name="P")
    await world.task(ada, "Dig", project_id=project.id)
    await world.task(ada, "Dig")
    done = await imported(world, ada, text)
    first, second = entries(done)
    assert (first["startedAt"], first["endedAt"]) == (
        "2025-04-27T07:00:00Z",
        "2025-04-27T08:00:00Z",
    )
    assert (first["description"], first["isBillable"], first["project"]) == (
        "d",
        True,
        {"name": "P"},
    )
    assert first["tags"] == ["x", "y", *(["Talk"] if text == KIMAI else [])]
    assert (second["startedAt"], second["duration"]) == ("2025-04-05T21:30:00Z", 2700)
    assert (second["isBillable"], second["tags"]) == (False, [])
    assert second["task"] == {"title": "Dig"}
    codes = {notice["code"] for result in done["results"] for notice in result["notices"]}
    assert codes == {"OTHER_USER", *(["ACTIVITY_AS_TAG"] if text == KIMAI else [])}
    again = await imported(world, ada, text)
    assert (again["doneCount"], again["duplicateCount"]) == (0, 2)


async def test_time_of_several_people_is_not_ones_own(world: World) -> None:
    ada = await world.person()
    await world.project(ada, name="P")
    text = CLOCKIFY.replace("a@example.org", ada.email.upper(), 1)
    done = await imported(world, ada, text, onError="CONTINUE")
    assert done["doneCount"] == 1
    paths = [error["path"] for error in done["errors"]]
    assert paths == [["input", "csv", "3", "Email"], ["input", "csv", "3", "Task"]]
    assert "a@example.org" in done["errors"][0]["message"]


# --- formats -------------------------------------------------------------------------------------

DURATIONS = {
    "5400": 5400,
    "1:30": 5400,
    "01:30:15": 5415,
    "1.25": 4500,
    "1,25": 4500,
    "0.33": 1188,
    "18:25 min": 1105,
    "90 min": 5400,
    "45 sec": 45,
    "1h 30m": 5400,
    "2 h": 7200,
}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
async def test_separators_cases_and_durations(world: World, separator: str, newline: str) -> None:
    ada = await world.person()
    rows = [("START", " durationseconds ", "Description")]
    rows += [
        (f"2026-03-{day:02d} 09:00", text, f"{text}\nin, two; lines\t")
        for day, text in enumerate(DURATIONS, 1)
    ]
    done = await imported(world, ada, "\ufeff" + table(rows, separator, newline))
    found = entries(done)
    assert [one["duration"] for one in found] == list(DURATIONS.values())
    assert found[0]["description"] == "5400 in, two; lines"
    # Rows are numbered as a spreadsheet numbers them, however many lines they take.
    assert [result["row"] for result in done["results"]] == list(range(2, len(DURATIONS) + 2))


@pytest.mark.parametrize("text", ["1:60", "1:30:61", "x", "-5", "1::2", "18:99 min", "1.2.3"])
async def test_what_is_no_duration_is_refused(world: World, text: str) -> None:
    ada = await world.person()
    done = await imported(world, ada, f"start,Duration\n2026-03-02 09:00,{text}")
    (error,) = done["errors"]
    assert error["path"] == ["input", "csv", "2", "Duration"]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (["start", "end", "duration", "billable"], ["x", "y", "z", "maybe"]),
        (["day", "durationSeconds", "billable"], ["x", "z", "maybe"]),
        (["Start date", "Start time", "End date", "End time"], ["2026-01-02", "x", "y", "09:00"]),
    ],
)
async def test_every_cell_that_is_wrong_is_named(
    world: World, header: list[str], row: list[str]
) -> None:
    done = await imported(world, await world.person(), table([header, row]))
    wrong = [
        name for name, cell in zip(header, row, strict=True) if cell in ["x", "y", "z", "maybe"]
    ]
    assert [error["path"][-1] for error in done["errors"]] == wrong


async def test_a_duration_beside_start_and_end_has_to_agree(world: World) -> None:
    ada = await world.person()
    rows = [
        "start,end,duration",
        "2026-03-02 09:00,2026-03-02 10:00:20,1:00",
        "2026-03-02 09:00,2026-03-02 10:00,1.01",
        "2026-03-02 09:00,2026-03-02 10:00,1:10",
    ]
    done = await imported(world, ada, "\n".join(rows), onError="CONTINUE")
    found = [result["timeEntry"] for result in done["results"]]
    assert [one and one["duration"] for one in found] == [3620, 3600, None]
    (error,) = done["errors"]
    assert error["path"][2:] == ["4", "duration"]


@pytest.mark.parametrize(
    ("dates", "wanted"),
    [
        (["04/05/2025", "27/04/2025"], ["2025-05-04", "2025-04-27"]),
        (["04/05/2025", "04/27/2025"], ["2025-04-05", "2025-04-27"]),
        (["04/05/2025", "03/03/2025"], [None, "2025-03-03"]),
        (["04/05/2025", "27/04/2025", "04/27/2025"], [None, "2025-04-27", "2025-04-27"]),
        (["4.5.2025", "27.04.25", "2025/4/3"], ["2025-05-04", "2025-04-27", "2025-04-03"]),
        (["31/02/2025", "13/13/2025", "0/1/2025"], [None, None, None]),
    ],
)
async def test_the_whole_file_decides_about_days_and_months(
    world: World, dates: list[str], wanted: list[str | None]
) -> None:
    ada = await world.person()
    rows = [("day", "duration"), *((date, "60") for date in dates)]
    done = await imported(world, ada, table(rows), onError="CONTINUE")
    found = [result["timeEntry"] and result["timeEntry"]["day"] for result in done["results"]]
    assert found == wanted
    places = [error["path"][2:] for error in done["errors"]]
    assert places == [[str(n), "day"] for n, date in enumerate(wanted, 2) if date is None]


@pytest.mark.parametrize(
    "text",
    ["\0s\0t", "ÿþs\0t\0", "ï»¿start,end\n", "sep=;\nfoo;bar\n1;2", "start;START\n1;2"],
    ids=repr,
)
async def test_a_file_that_was_not_decoded_is_refused(world: World, text: str) -> None:
    ada = await world.person()
    done = await imported(world, ada, text)
    (error,) = done["errors"]
    assert (error["code"], error["path"]) == ("BAD_USER_INPUT", ["input", "csv"])


# --- local times ---------------------------------------------------------------------------------


async def test_local_times_that_a_clock_skips_or_repeats_are_reported(world: World) -> None:
    ada = await world.person()
    rows = [
        ("start", "end", "duration"),
        ("2026-03-29 02:30", "2026-03-29 03:30", ""),
        ("2026-03-29 01:30", "2026-03-29 02:30", ""),
        ("2025-10-26 02:30", "2025-10-26 03:30", ""),
        ("2025-10-26 02:30", "2025-10-26 03:30", "1:00:00"),
        ("2025-10-26T02:30+01:00", "2025-10-26 03:30", ""),
        ("2026-03-30 02:30", "2026-03-30 03:30", ""),
    ]
    done = await imported(world, ada, table(rows))
    assert [one["duration"] for one in entries(done)] == [0, 3600, 7200, 3600, 3600, 3600]
    told = [[tuple(notice.values())[:2] for notice in r["notices"]] for r in done["results"]]
    assert told == [
        [("SKIPPED_TIME", "start")],
        [("SKIPPED_TIME", "end")],
        [("REPEATED_TIME", "start")],
        [("REPEATED_TIME", "start")],
        [],
        [],
    ]
    messages = [r["notices"][0]["message"] for r in done["results"] if r["notices"]]
    assert "03:30" in messages[0]
    assert "first, 2025-10-26T02:30+02:00" in messages[2]
    assert "second, 2025-10-26T02:30+01:00" in messages[3]


# --- duplicates ----------------------------------------------------------------------------------


async def test_a_file_that_is_sent_again_makes_nothing_twice(world: World) -> None:
    ada, bob = await world.people(2)
    rows = [
        ("start", "end", "day", "duration", "description"),
        ("2026-03-02 09:00", "2026-03-02 10:00", "", "", "one"),
        ("2026-03-02 09:00", "", "", "1:00", "two"),
        ("", "", "2026-03-02", "60", ""),
    ]
    text = table(rows)
    assert (await imported(world, ada, text))["doneCount"] == 3
    again = await imported(world, ada, text, dryRun=True)
    assert (again["validCount"], again["duplicateCount"]) == (0, 3)
    assert [[n["code"] for n in r["notices"]] for r in again["results"]] == [["DUPLICATE"]] * 3
    # A new row among known ones is made; another description or length is another entry.
    more = table(
        [*rows, ("2026-03-02 09:00", "", "", "1:00", "three"), ("", "", "2026-03-02", "61", "")]
    )
    done = await imported(world, ada, more)
    assert (done["doneCount"], done["duplicateCount"]) == (2, 3)
    kept = await imported(world, ada, text, duplicates="KEEP")
    assert (kept["doneCount"], kept["duplicateCount"]) == (3, 3)
    # Another person's equal entries are no duplicates.
    assert (await imported(world, bob, text))["doneCount"] == 3


async def test_ids_that_exist_are_duplicates_if_they_are_ones_own(world: World) -> None:
    ada, bob = await world.people(2)
    made = await imported(world, ada, "start,duration\n2026-03-02 09:00,60")
    (entry,) = entries(made)
    text = f"id,start,duration\n{entry['id']},2026-03-05 09:00,90"
    done = await imported(world, ada, text)
    assert (done["doneCount"], done["duplicateCount"]) == (0, 1)
    kept = await imported(world, ada, text, duplicates="KEEP")
    assert entries(kept)[0]["id"] != entry["id"]
    other = await imported(world, bob, text)
    assert [error["code"] for error in other["errors"]] == ["ALREADY_EXISTS"]


# --- names ---------------------------------------------------------------------------------------


async def test_projects_and_tasks_are_found_by_name_if_one_is_meant(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, name="Brücke")
    hidden = await world.project(bob, name="Hidden")
    for name in ("Twice", "twice"):
        await world.project(ada, name=name)
    task = await world.task(ada, "Pfeiler", project_id=project.id)
    for _ in range(2):
        await world.task(ada, "Same", project_id=project.id)
    rows = [
        ("day", "duration", "project", "task"),
        ("2026-03-02", "1", "Brücke", "Pfeiler"),
        ("2026-03-02", "2", project.key.lower(), "pfeiler"),
        ("2026-03-02", "3", "", gid(task)),
        ("2026-03-02", "4", "", f"{project.key}-1"),
        ("2026-03-02", "5", "Twice", ""),
        ("2026-03-02", "6", hidden.name, ""),
        ("2026-03-02", "7", "Brücke", "Same"),
        ("2026-03-02", "8", "", "Nothing"),
    ]
    done = await imported(world, ada, table(rows), onError="CONTINUE")
    found = [result["timeEntry"] for result in done["results"]]
    assert [one["task"] for one in found[:4]] == [{"title": "Pfeiler"}] * 4
    assert found[4:] == [None] * 4
    assert [(error["code"], *error["path"][2:]) for error in done["errors"]] == [
        ("BAD_USER_INPUT", "6", "project"),
        ("NOT_FOUND", "7", "project"),
        ("BAD_USER_INPUT", "8", "task"),
        ("NOT_FOUND", "9", "task"),
    ]


async def test_a_key_names_no_task_of_a_hidden_project(world: World) -> None:
    ada, ben = await world.people(2)
    project = await world.project(ada)
    task = await world.task(ada, "Dig", project_id=project.id)
    await world.share(task, ben)
    rows = [
        ("day", "durationSeconds", "task"),
        ("2025-04-27", "60", gid(task)),
        ("2025-04-28", "60", f"{project.key}-{task.number}"),
    ]
    dug = {"title": "Dig"}
    assert [one["task"] for one in entries(await imported(world, ada, table(rows)))] == [dug] * 2
    done = await imported(world, ben, table(rows), onError="CONTINUE")
    first, second = done["results"]
    assert (first["timeEntry"]["task"], second["timeEntry"]) == (dug, None)
    assert [(error["code"], *error["path"][2:]) for error in done["errors"]] == [
        ("NOT_FOUND", "3", "task")
    ]


# --- invalid rows --------------------------------------------------------------------------------


async def test_an_import_says_what_is_wrong_with_which_row(world: World) -> None:
    ada, bob = await world.people(2)
    hidden = await world.project(bob)
    rows = [
        "start,end,durationSeconds,project,task,user,tags,billable",
        "2026-03-02 09:00,,60,,,,a;b,yes",
        "2026-03-02 09:00,2026-03-02 08:00,,,,,,",
        f"2026-03-02 09:00,,60,{hidden.key},,,,",
        "yesterday,,60,,,,,",
        f"2026-03-02 09:00,,60,,,{bob.username},,",
        "2026-03-02 09:00,,60,,NO-1,,,maybe",
        ",,,,,,,",
        "2026-03-02T09:00:00+01:00,2026-03-02T10:00:00Z,,,,,,",
    ]
    given = {"csv": "\n".join(rows), "timezone": "Europe/Zurich"}
    reply = await world.run(IMPORT, ada, input=given | {"dryRun": True})
    found = [(error["code"], error["path"][1:]) for error in reply.user_errors]
    assert found == [
        ("BAD_USER_INPUT", ["csv", "3", "end"]),
        ("NOT_FOUND", ["csv", "4", "project"]),
        ("BAD_USER_INPUT", ["csv", "5", "start"]),
        ("BAD_USER_INPUT", ["csv", "6", "user"]),
        ("NOT_FOUND", ["csv", "7", "task"]),
        ("BAD_USER_INPUT", ["csv", "7", "billable"]),
    ]
    data = reply.data["timeEntryImport"]
    assert [result["row"] for result in data["results"]] == [2, 3, 4, 5, 6, 7, 9]
    assert (data["validCount"], data["doneCount"]) == (2, 0)
    reply = await world.run(IMPORT, ada, input=given)
    assert reply.data["timeEntryImport"]["doneCount"] == 0
    reply = await world.run(IMPORT, ada, input=given | {"onError": "CONTINUE"})
    data = reply.data["timeEntryImport"]
    assert data["doneCount"] == 2
    lengths = [one["timeEntry"]["duration"] for one in data["results"] if one["timeEntry"]]
    assert lengths == [60, 7200]
    times = await world.run("{ timeEntries { nodes { startedAt } } }", ada)
    starts = {node["startedAt"] for node in times.good["timeEntries"]["nodes"]}
    local = dt.datetime(2026, 3, 2, 9, tzinfo=ZoneInfo("Europe/Zurich"))
    assert starts == {f"{local.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"}


async def test_a_row_with_too_few_or_too_many_cells_fails_alone(world: World) -> None:
    ada = await world.person()
    rows = ["start,durationSeconds", "2026-03-02 09:00,60", "2026-03-02 10:00", "a,b,c"]
    reply = await world.run(IMPORT, ada, input={"csv": "\n".join(rows), "onError": "CONTINUE"})
    found = [(error["code"], error["path"][1:]) for error in reply.user_errors]
    assert found == [("BAD_USER_INPUT", ["csv", "3"]), ("BAD_USER_INPUT", ["csv", "4"])]
    data = reply.data["timeEntryImport"]
    assert (data["validCount"], data["doneCount"]) == (1, 1)
    assert [result["row"] for result in data["results"]] == [2, 3, 4]


@pytest.mark.parametrize(
    "content",
    ["", "a,b\n1,2", "start,start\n1,2", "project\nX", 'start\n"un', "start,end\n1", "start\n\0"],
    ids=repr,
)
async def test_what_is_no_file_of_entries_is_refused(world: World, content: str) -> None:
    ada = await world.person()
    reply = await world.run(IMPORT, ada, input={"csv": content})
    assert set(reply.codes) == {"BAD_USER_INPUT"}
