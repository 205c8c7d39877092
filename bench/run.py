"""The whole run: `python -m bench.run` (or `make bench`); `--quick` for a short one, and
`--only board,gqlgen` for some queries or servers.

Answers are compared before anything is measured. Then each query is sent to each server for a
slice of a second, with 1 and with 16 connections, and again in the next round, so that noise of the
machine affects all servers equally. A figure is the median over the rounds; a ratio is the median
of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import asyncpg

from bench import answers, record, report
from bench.building import ROOT
from bench.cases import CASES, NEW, Case, Sample, new_document, take_sample
from bench.data import PEOPLE, Seeded, prepare
from bench.lag import BUSY
from bench.measure import cpu_seconds, tree_mib, tree_seconds
from bench.recipes import KEYS, PLAIN, TASKLOOM, TUNED_CASES
from bench.results import Cell, Cells, Results, Slice
from bench.servers import BenchError, Server, running

DATA: Final = ROOT / "bench" / ".data"
MIX: Final = "mix"
CONNECTIONS: Final = (1, 16)
# After these, Taskloom's worker still has to act on what was written.
_WRITING: Final = {"create", MIX}
_PATIENCE: Final = 60
# How many new documents a slice sends.
_NEW_DOCUMENTS: Final = 48
# The memory target is for a process that has answered this many deep queries.
DEEP_QUERIES: Final = 1_000
# After this many seconds no new round begins.
_QUICK_SECONDS, _FULL_SECONDS = 90, 560


class _Load:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def order(self, **order: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        if "error" in said:
            raise BenchError(said["error"])
        return said


@contextmanager
def _load() -> Iterator[_Load]:
    command = [sys.executable, "-m", "bench.load"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield _Load(process)
        assert process.stdin is not None
        process.stdin.close()


class _Watch:
    """A connection of the bench's own, whose processor time is not counted."""

    def __init__(self, seeded: Seeded, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._postmaster = seeded.postmaster
        self._connection = runner.run(asyncpg.connect(seeded.dsn))
        self._own: int = self._connection.get_server_pid()

    def seconds(self, server: Server) -> tuple[float, float, float]:
        """The processor time of the server, of its worker, and of PostgreSQL so far."""
        own = cpu_seconds(server.pid)
        return (
            own,
            tree_seconds(server.pid) - own,
            tree_seconds(self._postmaster, without=self._own),
        )

    def wait_for_the_worker(self) -> None:
        """Until it has acted on everything that was written."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if not self._runner.run(self._connection.fetchval(BUSY)):
                return
            time.sleep(0.05)
        raise BenchError(f"the worker is not done after {_PATIENCE} s")


class Bench:
    """A run in progress."""

    def __init__(self, watch: _Watch, sample: Sample, servers: list[Server], load: _Load) -> None:
        self._watch = watch
        self._sample = sample
        self._load = load
        # How many slices of new documents each server had: all get the same ones.
        self._series: dict[str, int] = {}
        self.servers = servers
        self.cells: Cells = {}
        self._requests = {
            (server.name, case.name): server.requests(case, sample)
            for server in servers
            for case in CASES
        }
        for server in servers:
            self._requests[server.name, MIX] = server.mix(sample)

    def compare(self, cases: Sequence[str]) -> dict[str, int]:
        """Compare all answers with Taskloom's; returns how many fields each has."""
        fields = {}
        for case in CASES:
            if case.name in cases or MIX in cases:
                told = {server.name: self._answer(server, case) for server in self.servers}
                fields[case.name] = answers.fields_in(told[TASKLOOM])
                if case.name != "introspection":
                    _hold_equal(case.name, told)
                    self._compare_people(case, told[TASKLOOM])
        if NEW in cases:
            for series in range(5):
                told = {
                    server.name: server.ask(
                        new_document(random.Random(-1 - series), f"First{series}", server.dialect),
                        {"id": self._sample.projects_in(server.dialect)[series]},
                    )
                    for server in self.servers
                    if server.answers(NEW)
                }
                _hold_equal(NEW, told)
        return fields

    def _answer(self, server: Server, case: Case, person: int = 0) -> Any:
        variables = case.variables(self._sample, server.dialect)[0]
        return server.ask(case.documents[server.dialect], variables, person)

    def _compare_people(self, case: Case, told: Any) -> None:
        """Everybody who sends queries gets the same answers."""
        server = self.servers[0]
        for person in range(1, len(server.people)):
            other = self._answer(server, case, person)
            _hold_equal(case.name, {TASKLOOM: told, f"Taskloom for {PEOPLE[person]}": other})

    def slice(self, server: Server, case: str, connections: int, seconds: float) -> None:
        """Send requests for `seconds`, or some new documents once, and measure them."""
        self._load.order(open=server.port, connections=connections)
        if case == NEW:
            series = self._series.get(server.name, 0)
            self._series[server.name] = series + 1
            requests = server.new_requests(self._sample, series, _NEW_DOCUMENTS)
            order: dict[str, Any] = {}
        else:
            requests = self._requests[server.name, case]
            order = {"seconds": seconds}
        before = self._watch.seconds(server)
        try:
            said = self._load.order(requests=[each.decode("latin-1") for each in requests], **order)
        except BenchError as error:
            raise BenchError(f"{server.name}, {case}, {connections} at once: {error}") from error
        if case in _WRITING and server.name == TASKLOOM:
            self._watch.wait_for_the_worker()
        after = self._watch.seconds(server)
        count = len(said["latencies"])
        spent = (1000 * (end - start) / count for start, end in zip(before, after, strict=True))
        cell = self.cells.setdefault((server.name, case, connections), Cell())
        cell.slices.append(Slice(count, said["seconds"], *spent))
        cell.latencies += said["latencies"]

    def warm_up(self, cases: Sequence[str], seconds: float) -> None:
        """Let compilers compile and pools fill; not measured."""
        for case in cases:
            for server in self.servers:
                if server.answers(case):
                    self.slice(server, case, 4, seconds)
        self.cells.clear()

    def rounds(self, cases: Sequence[str], rounds: int, seconds: float, until: float) -> int:
        """The measured part: fewer rounds if another one would not end in time.

        A round takes longer on a busy machine, since it waits for the requests in flight.
        """
        for number in range(rounds):
            began = time.monotonic()
            print(f"Round {number + 1} of {rounds} …", flush=True)
            for case in cases:
                for connections in CONNECTIONS:
                    # Each round begins with another server.
                    turn = number % len(self.servers)
                    for server in [*self.servers[turn:], *self.servers[:turn]]:
                        if server.answers(case):
                            slow = server.name == PLAIN or connections == 1
                            self.slice(server, case, connections, seconds / 2 if slow else seconds)
            now = time.monotonic()
            if now + (now - began) > until:
                return number + 1
        return rounds

    def deep_memory(self) -> None:
        """Bring the number of Taskloom's deep queries to that of the memory target."""
        server = self.servers[0]
        done = sum(
            each.requests
            for (name, case, _), cell in self.cells.items()
            if name == TASKLOOM and case == "deep"
            for each in cell.slices
        )
        self._load.order(open=server.port, connections=4)
        requests = [each.decode("latin-1") for each in self._requests[TASKLOOM, "deep"]]
        while done < DEEP_QUERIES:
            done += len(self._load.order(requests=requests, seconds=1.0)["latencies"])


def _hold_equal(case: str, told: dict[str, Any]) -> None:
    ours = answers.canonical(case, told[TASKLOOM])
    for name, data in told.items():
        found = answers.difference(ours, answers.canonical(case, data))
        if found is not None:
            raise BenchError(f"{case}: Taskloom and {name} differ at {found}")


def measure(options: argparse.Namespace) -> Results:
    """A whole run."""
    DATA.mkdir(parents=True, exist_ok=True)
    print("Preparing the database …", flush=True)
    names = [*(case.name for case in CASES), MIX, NEW]
    cases = [name for name in names if name in options.only] or names
    peers = [KEYS[name] for name in options.only if name in KEYS] or [*KEYS.values()]
    with asyncio.Runner() as runner:
        seeded = runner.run(prepare(DATA, tuned=options.tuned))
        try:
            sample = runner.run(take_sample(seeded.dsn))
            with running(seeded, sample, only=peers, folder=DATA) as found, _load() as load:
                until = time.monotonic() + (_QUICK_SECONDS if options.quick else _FULL_SECONDS)
                bench = Bench(_Watch(seeded, runner), sample, found.servers, load)
                fields = bench.compare(cases)
                print("All answers are equal.", flush=True)
                rounds, seconds = (2, 0.2) if options.quick else (5, 0.6)
                bench.warm_up(cases, 0.1 if options.quick else 0.5)
                rounds = bench.rounds(cases, rounds, seconds, until)
                if "deep" in cases and not options.quick:
                    bench.deep_memory()
                return Results(
                    [server.name for server in found.servers],
                    found.missing,
                    cases,
                    bench.cells,
                    fields,
                    {server.name: tree_mib(server.pid) for server in found.servers},
                    rounds,
                    seconds,
                    tuned=options.tuned,
                )
        finally:
            seeded.server.stop()


def main() -> int:
    """Measure, print, and write the part of `bench/RESULTS.md`."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short run that writes no report")
    parser.add_argument(
        "--tuned",
        action="store_true",
        help="the reads, with the settings that the embedded server gives PostgreSQL's planner",
    )
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=[],
        help="some queries or servers, such as board,deep,lean; writes no report. Queries: "
        f"{', '.join(case.name for case in CASES)}, {MIX}, {NEW}. Servers: {', '.join(KEYS)}.",
    )
    options = parser.parse_args()
    began = time.monotonic()
    whole = not options.quick and not options.only
    if options.tuned and not options.only:
        options.only = TUNED_CASES
    try:
        results = measure(options)
    except BenchError as error:
        print(f"The bench cannot continue: {error}", file=sys.stderr)
        return 1
    text = report.text(results)
    print(text)
    print(f"Took {time.monotonic() - began:.0f} s.")
    if whole:
        record.write("tuned" if options.tuned else "bench", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
