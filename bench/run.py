"""The whole run: `python -m bench.run` (or `make bench`); `--quick` for a short one.

Answers are compared before anything is measured. Then each query is sent to each server for a
slice of a second, with 1 and with 16 connections, and again in the next round, so that noise of the
machine affects all servers equally. A figure is the median over the rounds; a ratio is the median
of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench import answers, report
from bench.cases import CASES, Case, Sample, take_sample
from bench.data import Seeded, prepare
from bench.measure import cpu_seconds, cpu_seconds_of_all, resident_mib, spent
from bench.results import Cell, Cells, Results, Slice
from bench.servers import PLAIN, ROOT, TASKLOOM, BenchError, Server, running

DATA: Final = ROOT / "bench" / ".data"
MIX: Final = "mix"
CONNECTIONS: Final = (1, 16)
# The memory target is for a process that has answered this many deep queries.
DEEP_QUERIES: Final = 1_000
# After this many seconds no new round begins.
_QUICK_SECONDS, _FULL_SECONDS = 75, 320


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


class Bench:
    """A run in progress."""

    def __init__(self, seeded: Seeded, sample: Sample, servers: list[Server], load: _Load) -> None:
        self.seeded = seeded
        self.sample = sample
        self.servers = servers
        self.load = load
        self.cells: Cells = {}
        self.requests = {
            (server.name, case.name): [
                text.decode("latin-1") for text in server.requests(case, sample)
            ]
            for server in servers
            for case in CASES
        }
        for server in servers:
            self.requests[server.name, MIX] = [
                text.decode("latin-1") for text in server.mix(sample)
            ]

    def compare(self, cases: Sequence[str]) -> dict[str, int]:
        """Compare all answers with Taskloom's; returns how many fields each has."""
        fields = {}
        for case in CASES:
            if case.name not in cases and MIX not in cases:
                continue
            told = {server.name: self._answer(server, case) for server in self.servers}
            if case.name == "introspection":
                fields[case.name] = answers.fields_in(told[TASKLOOM])
                continue
            fields[case.name] = answers.fields_in(told[TASKLOOM])
            ours = answers.canonical(case.name, told[TASKLOOM])
            for name, data in told.items():
                found = answers.difference(ours, answers.canonical(case.name, data))
                if found is not None:
                    raise BenchError(f"{case.name}: Taskloom and {name} differ at {found}")
        return fields

    def _answer(self, server: Server, case: Case) -> Any:
        variables = case.variables(self.sample, server.dialect)[0]
        return server.ask(case.documents[server.dialect], variables)

    def slice(self, server: Server, case: str, connections: int, seconds: float) -> Slice:
        """Send requests for `seconds` and measure them."""
        self.load.order(open=server.port, connections=connections)
        postmaster = self.seeded.postmaster
        own, database = cpu_seconds(server.pid), cpu_seconds_of_all(postmaster)
        try:
            said = self.load.order(requests=self.requests[server.name, case], seconds=seconds)
        except BenchError as error:
            raise BenchError(f"{server.name}, {case}, {connections} at once: {error}") from error
        own = cpu_seconds(server.pid) - own
        database_took = spent(database, cpu_seconds_of_all(postmaster))
        count = len(said["latencies"])
        made = Slice(count, said["seconds"], 1000 * own / count, 1000 * database_took / count)
        cell = self.cells.setdefault((server.name, case, connections), Cell())
        cell.slices.append(made)
        cell.latencies += said["latencies"]
        return made

    def warm_up(self, cases: Sequence[str], seconds: float) -> None:
        """Let compilers compile and pools fill; not measured."""
        for case in cases:
            for server in self.servers:
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
                        slow = server.name == PLAIN
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
        self.load.order(open=server.port, connections=4)
        requests = self.requests[TASKLOOM, "deep"]
        while done < DEEP_QUERIES:
            done += len(self.load.order(requests=requests, seconds=1.0)["latencies"])


def measure(options: argparse.Namespace) -> Results:
    """A whole run."""
    began = time.monotonic()
    DATA.mkdir(parents=True, exist_ok=True)
    print("Preparing the database …", flush=True)
    seeded = asyncio.run(prepare(DATA))
    try:
        sample = asyncio.run(take_sample(seeded.dsn))
        with running(seeded, sample, peers=options.peers, folder=DATA) as servers, _load() as load:
            bench = Bench(seeded, sample, servers, load)
            cases = options.cases or [*(case.name for case in CASES), MIX]
            fields = bench.compare(cases)
            print("All answers are equal.", flush=True)
            rounds, seconds = (2, 0.3) if options.quick else (5, 0.6)
            bench.warm_up(cases, 0.2 if options.quick else 0.8)
            until = began + (_QUICK_SECONDS if options.quick else _FULL_SECONDS)
            rounds = bench.rounds(cases, rounds, seconds, until)
            if "deep" in cases and not options.quick:
                bench.deep_memory()
            memory = {server.name: resident_mib(server.pid) for server in servers}
            names = [server.name for server in servers]
            return Results(names, cases, bench.cells, fields, memory, rounds, seconds)
    finally:
        seeded.server.stop()


def main() -> int:
    """Measure, print, and write `bench/RESULTS.md`."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short run that writes no report")
    parser.add_argument(
        "--no-peers", dest="peers", action="store_false", help="without the servers on Node.js"
    )
    parser.add_argument("cases", nargs="*", help="only these queries; writes no report")
    options = parser.parse_args()
    began = time.monotonic()
    try:
        results = measure(options)
    except BenchError as error:
        print(f"The bench cannot continue: {error}", file=sys.stderr)
        return 1
    text = report.text(results)
    print(text)
    print(f"Took {time.monotonic() - began:.0f} s.")
    if options.peers and not options.quick and not options.cases:
        (Path(__file__).parent / "RESULTS.md").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
