"""Benchmarks of search, reports and lists of time: `python -m bench.extras` takes half a minute and
writes `EXTRAS.md`.

*Search* in 40,000 tasks and 120,000 comments, by users who can see all of them and by users who can
see few, for rare words and for a word in every fourth task. *Reports* over 100,000 time entries of
180 days, grouped by project and day (9,000 groups), in several time zones. *Lists* of those
entries.

The targets are 20 ms for a search and 150 ms for a report's SQL. Wall-clock times double on a busy
machine; the processor time of PostgreSQL and of the server hardly changes. The statements run on
one processor, so their processor time is what they take on an idle machine.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import http.client
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from bench.building import ROOT
from bench.data import LOGIN, PASSWORD, Seeded, prepare
from bench.measure import cpu_seconds, cpu_seconds_of_all, spent
from bench.record import commit
from bench.servers import BenchError, Server, alone
from db.models import Role

DATA: Final = ROOT / "bench" / ".data" / "extras"
# How often each query is measured, and how often it runs before that.
ROUNDS, WARM_UP = 15, 3
# The users besides the bench's own user, who manages every project.
ADMIN, MEMBER, NEWCOMER = "user1", "user2", "user3"
_PEOPLE: Final = {
    LOGIN: "sees all 100 projects",
    ADMIN: "an administrator, sees 3",
    MEMBER: "sees 10",
    NEWCOMER: "sees no project, only some tasks",
}
ENTRIES: Final = 100_000

# Every fourth task has the word "the"; each word "lot…" occurs in ten tasks. The time entries
# belong to users of fifty projects and last 1.5 hours on average; one in 43 crosses midnight (UTC).
_CONTENT: Final = f"""
UPDATE users SET password_hash = bench.password_hash, is_admin = users.username = '{ADMIN}'
FROM users AS bench
WHERE bench.username = '{LOGIN}' AND users.username IN ('{ADMIN}', '{MEMBER}', '{NEWCOMER}');

UPDATE project_members SET role = {{admin}}
FROM users WHERE users.id = user_id AND username = '{LOGIN}';
DELETE FROM project_members USING users, projects
WHERE users.id = user_id AND projects.id = project_id AND projects.owner_id <> users.id
    AND username IN ('{MEMBER}', '{NEWCOMER}');
INSERT INTO project_members (id, project_id, user_id, role, created_at, updated_at, version)
SELECT uuidv7(), projects.id, users.id, {{viewer}}, now(), now(), 1
FROM projects CROSS JOIN users
WHERE key IN ('P0','P1','P2','P3','P4','P5','P6','P7','P8','P9') AND username = '{MEMBER}'
ON CONFLICT DO NOTHING;

UPDATE tasks SET description = description || ' lot' || placed.place / 10
    || CASE WHEN placed.place % 4 = 0 THEN ' the' ELSE '' END
FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM tasks) AS placed
WHERE placed.id = tasks.id;

SELECT setseed(0.5);
INSERT INTO time_entries (id, user_id, project_id, task_id, started_at, ended_at, is_billable,
    tags, tag_keys, created_at, updated_at, version)
SELECT uuidv7(), user_id, project_id, task_id, starts, starts + random() * interval '3 hours',
    random() < 0.5, tags, tags, starts, starts, 1
FROM (
    SELECT member.user_id, task.project_id, task.id AS task_id, task.tags,
        timestamptz '2026-01-05 06:00Z' + interval '1 day' * floor(random() * 180)
        + interval '16.5 hours' * random() AS starts
    FROM generate_series(1, {{entries}}) AS entry
    CROSS JOIN LATERAL (SELECT floor(random() * 20000) + entry * 0 AS place) AS chosen
    JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS place FROM tasks) AS task USING (place)
    JOIN LATERAL (
        SELECT user_id FROM project_members
        WHERE project_id = task.project_id ORDER BY id OFFSET entry % 20 LIMIT 1
    ) AS member ON true
) AS made;
"""
_TABLES: Final = ("tasks", "project_members", "time_entries")

SEARCH: Final = "query ($words: String!) { search(query: $words) { nodes { kind rank } } }"
REPORT: Final = """query ($filter: TimeReportFilter, $zone: TimeZone!) {
  timeReport(filter: $filter, groupBy: [PROJECT, DAY], timezone: $zone) {
    total count groups { total groups { day total } }
  }
}"""
_LISTS: Final = {
    "100 entries, whether each overlaps, their tasks": "{ timeEntries(first: 100) "
    "{ nodes { id startedAt duration hasOverlap task { title tracked } } } }",
    "100 of those that overlap": "{ timeEntries(first: 100, filter: {hasOverlap: true}) "
    "{ nodes { id } } }",
    "50 tasks by the time tracked on them": "{ tasks(first: 50, orderBy: [{tracked: "
    "DESC}]) { nodes { title tracked } } }",
}
_WORDS: Final = {
    "lot123": "rare",
    "the": "10,000 tasks",
    "the wheel brake": "three words",
}
_QUARTER: Final = {"firstDay": "2026-03-01", "lastDay": "2026-05-31"}


@dataclass(frozen=True, slots=True)
class Question:
    """A query by one user."""

    by: str
    about: str
    document: str
    variables: dict[str, Any]


def searches() -> Iterator[Question]:
    """Each of the words, by each of the users."""
    for who, sees in _PEOPLE.items():
        for words, how_many in _WORDS.items():
            yield Question(who, f"“{words}” ({how_many}); {sees}", SEARCH, {"words": words})


def reports() -> Iterator[Question]:
    """All days, and three months, in three time zones."""
    for zone in ("UTC", "America/New_York", "Asia/Kathmandu"):
        for name, filter_ in (("all days", None), ("92 days", _QUARTER)):
            variables = {"zone": zone, "filter": filter_}
            yield Question(LOGIN, f"{name}, {zone}", REPORT, variables)


def lists() -> Iterator[Question]:
    """Pages of time entries, and of tasks by their time."""
    for about, document in _LISTS.items():
        yield Question(LOGIN, about, document, {})


@dataclass(frozen=True, slots=True)
class Measured:
    """The median milliseconds of one query: processor time of PostgreSQL and of the server, and
    the time until the client has the answer.
    """

    postgres: float
    server: float
    clock: float

    @property
    def cells(self) -> str:
        """The figures as cells of a table."""
        return f"{self.postgres:.1f} | {self.server:.1f} | {self.clock:.1f}"


async def fill(dsn: str, *, entries: int = ENTRIES) -> None:
    """Add the words to search for and so many time entries to the bench's content."""
    connection = await asyncpg.connect(dsn)
    try:
        roles = {"admin": int(Role.ADMIN), "viewer": int(Role.VIEWER)}
        await connection.execute(_CONTENT.format(entries=entries, **roles))
        for table in _TABLES:
            await connection.execute(f"VACUUM (ANALYZE, FREEZE) {table}")
    finally:
        await connection.close()


def measure(
    questions: Sequence[Question], server: Server, seeded: Seeded, *, rounds: int = ROUNDS
) -> list[Measured]:
    """Send all queries over one connection, round by round."""
    tokens = {who: _token(server, who) for who in {question.by for question in questions}}
    taken: list[list[Measured]] = [[] for _ in questions]
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        for number in range(WARM_UP + rounds):
            for question, found in zip(questions, taken, strict=True):
                one = _ask(connection, question, tokens[question.by], server, seeded)
                if number >= WARM_UP:
                    found.append(one)
    return [
        Measured(
            statistics.median(one.postgres for one in found),
            statistics.median(one.server for one in found),
            statistics.median(one.clock for one in found),
        )
        for found in taken
    ]


def _ask(
    connection: http.client.HTTPConnection,
    question: Question,
    token: str,
    server: Server,
    seeded: Seeded,
) -> Measured:
    body = json.dumps({"query": question.document, "variables": question.variables})
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    database, own = cpu_seconds_of_all(seeded.postmaster), cpu_seconds(server.pid)
    began = time.perf_counter()
    connection.request("POST", "/graphql", body, headers)
    answer = connection.getresponse().read()
    took = time.perf_counter() - began
    own = cpu_seconds(server.pid) - own
    postgres = spent(database, cpu_seconds_of_all(seeded.postmaster))
    if b'"errors"' in answer:
        raise BenchError(f"{question.about}: {answer[:500].decode()}")
    return Measured(1000 * postgres, 1000 * own, 1000 * took)


def _token(server: Server, who: str) -> str:
    document = (
        "mutation ($input: SessionCreateInput!) { sessionCreate(input: $input) { accessToken } }"
    )
    data = server.ask(document, {"input": {"login": who, "password": PASSWORD}})
    token: str = data["sessionCreate"]["accessToken"]
    return token


_FIGURES: Final = (
    f"Milliseconds, medians of {ROUNDS} runs: the processor time of PostgreSQL and of the server, "
    "and the time by the clock until the answer. The targets are 20 ms for a search and 150 ms for "
    "a report, in PostgreSQL. `extras.py` describes the queries and the users."
)


def text(found: dict[str, list[tuple[Question, Measured]]]) -> str:
    """The figures, in Markdown."""
    lines = [
        "# Search and reports",
        "",
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC, code {commit()}. {_FIGURES}",
    ]
    for title, rows in found.items():
        lines += [
            "",
            f"## {title}",
            "",
            "| | PostgreSQL | server | answer |",
            "|---|---:|---:|---:|",
            *(f"| {question.about} | {measured.cells} |" for question, measured in rows),
        ]
    return "\n".join([*lines, ""])


def main() -> int:
    """Measure, print, and write `bench/EXTRAS.md`."""
    parser = argparse.ArgumentParser(prog="python -m bench.extras", description=__doc__)
    parser.parse_args()
    DATA.mkdir(parents=True, exist_ok=True)
    print("Preparing the database …", flush=True)
    seeded = asyncio.run(prepare(DATA))
    try:
        asyncio.run(fill(seeded.dsn))
        found = {}
        with alone(seeded, DATA) as server:
            for title, questions in (
                ("Search", [*searches()]),
                ("Reports", [*reports()]),
                ("Lists of time", [*lists()]),
            ):
                print(f"{title} …", flush=True)
                measured = measure(questions, server, seeded)
                found[title] = list(zip(questions, measured, strict=True))
    except BenchError as error:
        print(f"The bench cannot continue: {error}", file=sys.stderr)
        return 1
    finally:
        seeded.server.stop()
    (Path(__file__).parent / "EXTRAS.md").write_text(text(found))
    print(text(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
