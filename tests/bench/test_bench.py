"""The bench's own pieces: same content each time, equal answers, and a reading of the clock.

At a tiny scale, against Taskloom, the floor and Strawberry; the others are tried by `make bench`.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from graphql import FieldNode, parse

from bench import answers, extras, measure, record
from bench.cases import CASES, Dialect, new_document, take_sample
from bench.data import Seeded, Size, make_rows, prepare
from bench.load import Load
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
    asyncio.run(extras.fill(seeded.dsn, entries=500))
    questions = [*extras.searches(), *extras.reports(), *extras.lists()]
    with alone(seeded, folder) as server:
        found = extras.measure(questions, server, seeded, rounds=1)
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


def test_each_request_is_sent_once_and_every_form_of_answer_is_read() -> None:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            if len(asked) % 2:
                self.send_header("Content-Length", "7")
                self.end_headers()
                self.wfile.write(b'{"a":1}')
            else:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b'4\r\n{"a"\r\n')
                self.wfile.flush()
                self.wfile.write(b"3\r\n:1}\r\n0\r\n\r\n")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        load = Load()
        load.open(server.server_port, 3)
        requests = [
            f"POST /{number} HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n".encode()
            for number in range(8)
        ]
        told = load.run(requests, None)
        load.open(server.server_port, 0)
        server.shutdown()
    assert sorted(asked) == [f"/{number}" for number in range(8)]
    assert len(told["latencies"]) == 8


def test_a_new_document_asks_the_same_of_all_servers_and_comes_once() -> None:
    dialects: tuple[Dialect, ...] = ("taskloom", "simple", "postgraphile")
    for number in range(20):
        asked = [new_document(random.Random(number), f"N{number}", each) for each in dialects]
        shapes = [list(_response_keys(parse(document).definitions[0])) for document in asked]
        assert shapes[0] == shapes[1] == shapes[2]
        assert len(shapes[0]) >= 10
    assert new_document(random.Random(1), "N", "simple") != new_document(
        random.Random(2), "N", "simple"
    )


def _response_keys(node: Any) -> Iterator[str]:
    """The keys of an answer in their order, but for the connections' `nodes`."""
    for part in node.selection_set.selections:
        if isinstance(part, FieldNode) and part.name.value != "nodes":
            yield (part.alias or part.name).value
        if part.selection_set:
            yield from _response_keys(part)


def test_a_part_of_the_results_is_replaced_and_the_others_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    file.write_text("# Something that is not measured any more\n\n1 ms\n")
    record.write("lag", "slow", file)
    record.write("bench", "## Table\n\nfast", file)
    record.write("lag", "quick", file)
    titles = record.TITLES
    assert file.read_text() == (
        f"# {titles['bench']}\n\n## Table\n\nfast\n\n# {titles['lag']}\n\nquick\n"
    )


def test_a_process_is_charged_for_what_it_does() -> None:
    busy = "import sys; x = sum(range(3_000_000)); print('done', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", busy]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        first = measure.cpu_seconds(process.pid)
        assert process.pid in measure.children(os.getpid())
        assert measure.tree_seconds(os.getpid()) > first
        assert process.stdin is not None
        process.stdin.close()
    # An ended child still counts.
    assert measure.tree_seconds(os.getpid()) >= measure.cpu_seconds(os.getpid()) + first / 2
    assert first > 0
