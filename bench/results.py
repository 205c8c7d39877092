"""The results of a run: `bench.run` fills them, `bench.report` writes the report from them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field


@dataclass(slots=True)
class Slice:
    """The measurement of one server, one query and one round."""

    requests: int
    seconds: float
    cpu_ms: float
    postgres_ms: float


@dataclass(slots=True)
class Cell:
    """All slices of one server and one query at one number of connections."""

    slices: list[Slice] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of the server process's processor time per request."""
        return statistics.median(each.cpu_ms for each in self.slices)

    @property
    def postgres_ms(self) -> float:
        """The same for all of PostgreSQL's processes."""
        return statistics.median(each.postgres_ms for each in self.slices)

    @property
    def per_second(self) -> float:
        """Requests answered per second."""
        requests = sum(each.requests for each in self.slices)
        return requests / sum(each.seconds for each in self.slices)

    def latency_ms(self, share: float) -> float:
        """The latency below which this share of the requests was answered."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


Cells = dict[tuple[str, str, int], Cell]


def ratio(cells: Cells, case: str, connections: int, server: str, other: str) -> float:
    """This server's processor time as a multiple of that of `other`, median over the rounds."""
    pairs = zip(
        cells[server, case, connections].slices,
        cells[other, case, connections].slices,
        strict=False,
    )
    return statistics.median(ours.cpu_ms / theirs.cpu_ms for ours, theirs in pairs)


@dataclass(slots=True)
class Results:
    """The input of `report`."""

    servers: list[str]
    cases: list[str]
    cells: Cells
    # How many fields each query's answer has.
    fields: dict[str, int]
    # MiB at the end; for Taskloom after `DEEP_QUERIES` deep queries.
    memory: dict[str, float]
    rounds: int
    slice_seconds: float
