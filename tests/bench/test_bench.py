"""The bench's own pieces: same content each time, equal answers, and a reading of the clock.

At a tiny scale, against Taskloom and the floor; the peers on Node.js are tried by `make bench`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import answers, extras, measure
from bench.cases import CASES, take_sample
from bench.data import Seeded, Size, make_rows, prepare
from bench.recipes import FLOOR, PLAIN, TASKLOOM
from bench.servers import alone, running

TINY = Size(users=40, projects=22, tasks=110, talked_about=20, comments=5)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # Not pytest's own, which PostgreSQL's user may not pass.
    with tempfile.TemporaryDirectory(prefix="taskloom-bench-") as name:
        path = Path(name)
        path.chmod(0o711)
        yield path


@pytest.fixture(scope="module")
def seeded(folder: Path) -> Iterator[Seeded]:
    made = asyncio.run(prepare(folder, TINY))
    yield made
    made.server.stop()


def test_the_content_is_always_the_same() -> None:
    assert make_rows(TINY, ("!", 1)) == make_rows(TINY, ("!", 1))


def test_full_content_has_the_size_that_the_promises_speak_of() -> None:
    full = Size()
    tasks = full.projects * full.tasks
    assert (full.users, full.projects, tasks) == (1_000, 100, 40_000)


def test_answers_are_equal_and_differences_are_found(seeded: Seeded, folder: Path) -> None:
    sample = asyncio.run(take_sample(seeded.dsn))
    with running(seeded, sample, only=[PLAIN], folder=folder) as found:
        servers = found.servers
        assert [server.name for server in servers] == [TASKLOOM, FLOOR, PLAIN]
        for case in CASES:
            if case.name == "introspection":
                continue
            told = [
                answers.canonical(
                    case.name,
                    server.ask(
                        case.documents[server.dialect],
                        case.variables(sample, server.dialect)[0],
                    ),
                )
                for server in servers
            ]
            for other in told[1:]:
                assert answers.difference(told[0], other) is None, case.name
            assert answers.fields_in(told[0]) > 1
        assert measure.cpu_seconds(servers[0].pid) > 0
        assert 10 < measure.resident_mib(servers[0].pid) < 1_000
        readings = measure.cpu_seconds_of_all(seeded.postmaster)
        assert len(readings) > 1
        assert measure.spent(readings, readings) == 0


def test_searches_and_reports_are_asked_and_timed(seeded: Seeded, folder: Path) -> None:
    asyncio.run(extras.fill(seeded.dsn))
    questions = [*extras.searches(), *extras.reports(), *extras.lists()]
    with alone(seeded, folder) as server:
        found = extras.measure(questions, server, seeded)
    assert all(each.clock > 0 and each.server > 0 for each in found)
    told = extras.text({"All": list(zip(questions, found, strict=True))})
    assert told.count("\n| ") == len(questions) + 1


@pytest.mark.parametrize(
    ("ours", "theirs", "where"),
    [
        ({"a": 1}, {"a": 2}, "data.a: 1 and 2"),
        ({"a": [1, 2]}, {"a": [1]}, "data.a: 2 and 1 items"),
        ({"a": 1}, {"b": 1}, "data: fields ['a'] and ['b']"),
        ([{"a": None}], [{"a": 0}], "data[0].a: None and 0"),
    ],
)
def test_a_difference_is_told_with_its_place(ours: object, theirs: object, where: str) -> None:
    assert answers.difference(ours, theirs) == where


def test_a_process_is_charged_for_what_it_does() -> None:
    busy = "import sys; x = sum(range(3_000_000)); print('done', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", busy]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        first = measure.cpu_seconds(process.pid)
        assert process.pid in measure.children(os.getpid())
        assert process.stdin is not None
        process.stdin.close()
    assert first > 0
