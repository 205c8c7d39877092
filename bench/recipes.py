"""How each measured server is started."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import building
from bench.building import NODE, ROOT
from bench.cases import NEW, Dialect, Sample
from bench.data import Seeded

# A placeholder for the port that a server is given.
PORT: Final = "PORT"

TASKLOOM, FLOOR, PLAIN = "Taskloom", "floor", "Strawberry, plain"
POSTGRAPHILE, MERCURIUS = "PostGraphile", "Mercurius"
YOGA, APOLLO = "GraphQL Yoga", "Apollo Server"
LEAN, LEAN_BUN = "lean, Node.js", "lean, Bun"
GQLGEN, ASYNC_GRAPHQL = "gqlgen (Go)", "async-graphql (Rust)"
# Short names for the command line.
KEYS: Final = {
    "taskloom": TASKLOOM,
    "floor": FLOOR,
    "plain": PLAIN,
    "postgraphile": POSTGRAPHILE,
    "mercurius": MERCURIUS,
    "yoga": YOGA,
    "apollo": APOLLO,
    "lean": LEAN,
    "bun": LEAN_BUN,
    "gqlgen": GQLGEN,
    "async-graphql": ASYNC_GRAPHQL,
}


# What is measured with the embedded server's own settings too.
TUNED_CASES: Final = ("point", "board", "deep", "wide")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to start a server. `PORT` is replaced by its port in command and environment."""

    name: str
    dialect: Dialect
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path = ROOT
    # Queries that it is not measured with.
    without: frozenset[str] = frozenset()


def taskloom(dsn: str, folder: Path) -> Recipe:
    """As shipped, with its worker, except that tokens and budgets outlast the run."""
    return Recipe(
        TASKLOOM,
        "taskloom",
        # Not the installed command: this measures the code beside this file.
        [sys.executable, "-c", "from cli import main; main()", "serve", "--no-demo"],
        {
            "DATABASE_URL": dsn,
            "TASKLOOM_PORT": PORT,
            "TASKLOOM_ACCESS_TOKEN_SECONDS": "3600",
            "TASKLOOM_DATA_DIR": str(folder / "taskloom"),
            # Counted as usual, and never reached.
            "TASKLOOM_LIMIT_COST_BUDGET": "1000000000",
            "TASKLOOM_LIMIT_TASK_CREATION": "1000000/hour",
            "TASKLOOM_LIMIT_LOGIN_ADDRESS": "1000/minute",
        },
    )


def peers_of(
    seeded: Seeded, sample: Sample, introspection: Path
) -> dict[str, Callable[[], Recipe]]:
    """The others by name. Calling one builds it, or raises `MissingError`."""
    environment = {
        "BENCH_DSN": seeded.dsn,
        "BENCH_DB_HOST": str(seeded.server.socket_dir),
        "BENCH_DB_USER": "taskloom",
        "BENCH_DB_NAME": seeded.database,
        "BENCH_USER": str(sample.user_id),
        "BENCH_INTROSPECTION": str(introspection),
        "BENCH_PORT": PORT,
        "NODE_ENV": "production",
        "GRAPHILE_ENV": "production",
    }
    uvicorn = [sys.executable, "-m", "uvicorn", "--port", PORT, "--loop", "uvloop"]
    # A slow answer must not make the others' idle connections time out.
    uvicorn += ["--timeout-keep-alive", "75"]
    uvicorn += ["--http", "httptools", "--no-access-log", "--log-level", "warning", "--factory"]

    def node(name: str, script: str, dialect: Dialect = "simple") -> Recipe:
        return Recipe(name, dialect, building.node(script), environment, NODE)

    return {
        FLOOR: lambda: Recipe(
            FLOOR,
            "floor",
            [*uvicorn, "bench.floor:app"],
            environment,
            without=frozenset({NEW}),
        ),
        PLAIN: lambda: Recipe(PLAIN, "simple", [*uvicorn, "bench.plain:app"], environment),
        POSTGRAPHILE: lambda: node(POSTGRAPHILE, "postgraphile.js", "postgraphile"),
        MERCURIUS: lambda: node(MERCURIUS, "mercurius.js"),
        YOGA: lambda: node(YOGA, "yoga.js"),
        APOLLO: lambda: node(APOLLO, "apollo.js"),
        LEAN: lambda: node(LEAN, "lean.js"),
        LEAN_BUN: lambda: Recipe(LEAN_BUN, "simple", building.bun("lean.js"), environment, NODE),
        GQLGEN: lambda: Recipe(GQLGEN, "simple", building.go(), environment),
        ASYNC_GRAPHQL: lambda: Recipe(ASYNC_GRAPHQL, "simple", building.rust(), environment),
    }
