"""The results of a run: `bench.run` fills them, `bench.report` writes the report from them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field


@dataclass(slots=True)
class Slice:
    """The measurement of one server, one query and one round. Milliseconds per request."""

    requests: int
    seconds: float
    server_ms: float
    worker_ms: float
    postgres_ms: float

    @property
    def total_ms(self) -> float:
        """The processor time of all processes that the request kept busy."""
        return self.server_ms + self.worker_ms + self.postgres_ms


@dataclass(slots=True)
class Cell:
    """All slices of one server and one query at one number of connections."""

    slices: list[Slice] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    def median(self, what: str) -> float:
        """The median over the rounds of a figure of the slices."""
        median: float = statistics.median(getattr(each, what) for each in self.slices)
        return median

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
    """This server's total processor time as a multiple of the other's, median over the rounds."""
    pairs = zip(
        cells[server, case, connections].slices,
        cells[other, case, connections].slices,
        strict=False,
    )
    return statistics.median(ours.total_ms / theirs.total_ms for ours, theirs in pairs)


@dataclass(slots=True)
class Results:
    """The input of `report`."""

    servers: list[str]
    # Why other servers are not there.
    missing: list[str]
    cases: list[str]
    cells: Cells
    # How many fields each query's answer has.
    fields: dict[str, int]
    # MiB at the end, of the server and its worker; for Taskloom after `DEEP_QUERIES` deep queries.
    memory: dict[str, float]
    rounds: int
    slice_seconds: float
    # Whether PostgreSQL's planner had the embedded server's settings instead of its default ones.
    tuned: bool
