"""The health of the process: for load balancers, operators and Prometheus.

`live` says that the process answers, and checks nothing else, so that an orchestrator does not
restart servers because their database is down. `ready` says that requests can be served: the
database answers and is migrated, and Redis, if used, can be reached. Whether a worker is alive is
reported but does not decide: requests are served without one, and removing the servers too would
only make it worse.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from sqlalchemy import func, select
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from db import revision
from db.statements import Statement
from domain.admin.job import open_circuits, queue_state, workers_alive
from events import blockers
from web import supervision
from web.runtime import Runtime

log = logging.getLogger("taskloom.web")

_CHECK_SECONDS: Final = 3.0
# Load balancers ask often; the database is queried at most once a second.
_REMEMBER_SECONDS: Final = 1.0
# How long the database counts as degraded after it refused a change (storage full, read-only).
_REFUSED_SECONDS: Final = 60.0
# The same for metrics.
FIGURES_SECONDS: Final = 5.0
_TIME: Final = Statement(select(func.extract("epoch", func.clock_timestamp()).label("seconds")))
# Tokens, leases and the times of events mix the clocks of all machines.
_CLOCKS_DIFFER_SECONDS: Final = 10.0
_NO_STORE: Final = {"Cache-Control": "no-store"}


class _Status(StrEnum):
    """The state of a part, or of the whole: that of its worst part."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILING = "failing"


@dataclass(slots=True)
class _Finding:
    status: _Status = _Status.OK
    detail: str | None = None
    # How often the part was restarted.
    restarts: int = 0

    def payload(self) -> dict[str, Any]:
        found: dict[str, Any] = {"status": self.status}
        if self.detail:
            found["detail"] = self.detail
        if self.restarts:
            found["restarts"] = self.restarts
        return found


def _worst(findings: Iterable[_Finding]) -> _Status:
    found = {finding.status for finding in findings}
    return next((status for status in reversed(_Status) if status in found), _Status.OK)


class Health:
    """The checks of one process."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._migrated = False
        self._patience: blockers.Patience | None = None
        self._findings: dict[str, _Finding] = {}
        self._checked_at = float("-inf")
        self._checking = asyncio.Lock()

    async def findings(self) -> dict[str, _Finding]:
        """The state of each part, at most a second old."""
        async with self._checking:
            if time.monotonic() - self._checked_at > _REMEMBER_SECONDS:
                checks: dict[str, Awaitable[_Finding]] = {
                    "database": _within(self._database()),
                    "migrations": _within(self._migrations()),
                    "worker": _within(self._worker(), otherwise=_Status.DEGRADED),
                    "events": _within(self._events(), otherwise=_Status.DEGRADED),
                }
                if self._runtime.settings.redis.url is not None:
                    checks["redis"] = _within(self._redis())
                found = await asyncio.gather(*checks.values())
                self._findings = dict(zip(checks, found, strict=True))
                replica = self._runtime.services.database.replica
                if replica is not None:
                    self._findings["replica"] = (
                        _Finding()
                        if replica.usable
                        else _Finding(_Status.DEGRADED, "not used: no answer, or it lags")
                    )
                self._supervised()
                if self._runtime.connections.stopping:
                    self._findings["server"] = _Finding(_Status.FAILING, "stopping")
                self._checked_at = time.monotonic()
            return self._findings

    def _supervised(self) -> None:
        """The state of the parts that the server itself started."""
        for name, (alive, restarts) in supervision.states().items():
            finding = self._findings[name]
            if not alive:
                finding.status = max(finding.status, _Status.DEGRADED, key=list(_Status).index)
                finding.detail = "it died and is being restarted"
            if restarts:
                finding.restarts = restarts

    async def _database(self) -> _Finding:
        database = self._runtime.services.database
        (row,) = await database.all_rows.fetch(_TIME, {})
        ahead = time.time() - float(row.seconds)
        if database.refused is not None:
            at, fault = database.refused
            # Reads work, so the process stays in service. The next change will show.
            if time.monotonic() - at < _REFUSED_SECONDS:
                return _Finding(_Status.DEGRADED, f"changes fail: {fault.value}")
        if abs(ahead) > _CLOCKS_DIFFER_SECONDS:
            how = f"{abs(ahead):.0f} s {'behind' if ahead > 0 else 'ahead of'}"
            return _Finding(_Status.DEGRADED, f"its clock is {how} this server's")
        return _Finding()

    async def _migrations(self) -> _Finding:
        # Once applied, migrations stay applied for as long as this process runs.
        if not self._migrated:
            database = self._runtime.settings.database
            if not await revision.is_newest(database):
                from db import migrate

                # None if a newer version has migrated it, and says that this one still works.
                missing = await migrate.pending(database)
                if missing:
                    return _Finding(_Status.FAILING, f"{len(missing)} pending")
            self._migrated = True
        return _Finding()

    async def _events(self) -> _Finding:
        if self._patience is None:
            self._patience = blockers.Patience(self._runtime.services.live.log)
        held = await self._patience.seconds()
        if held is None or held < blockers.HELD_SECONDS:
            return _Finding()
        return _Finding(_Status.DEGRADED, f"held back for {held:.0f} s by an open transaction")

    async def _redis(self) -> _Finding:
        ready = await self._runtime.services.bus.ready()
        return _Finding() if ready else _Finding(_Status.FAILING)

    async def _worker(self) -> _Finding:
        services = self._runtime.services
        if await workers_alive(services.database.all_rows, services.clock()):
            return _Finding()
        return _Finding(_Status.DEGRADED, "none was seen within the last minute")


async def _within(check: Awaitable[_Finding], *, otherwise: _Status = _Status.FAILING) -> _Finding:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            return await check
    except TimeoutError:
        return _Finding(otherwise, "no answer in time")
    except Exception as error:  # noqa: BLE001 - whatever is wrong, it is not well
        # Details are for the operator, who reads the log, and not for strangers.
        log.warning("a health check failed: %s: %s", type(error).__name__, error)
        return _Finding(otherwise, "no answer")


class Figures:
    """All metrics of this process, with the figures that must be queried.

    Those of the database are queried at most every `FIGURES_SECONDS`, however many clients scrape,
    and are kept if it does not answer.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        await self._refresh()
        return self._runtime.metrics.render()

    async def families(self) -> list[Metric]:
        """All of them, as the library has them."""
        await self._refresh()
        return self._runtime.metrics.families()

    async def _refresh(self) -> None:
        services, metrics = self._runtime.services, self._runtime.metrics
        async with self._asking:
            if time.monotonic() - self._asked_at > FIGURES_SECONDS:
                await self._ask()
                self._asked_at = time.monotonic()
        for name, use in services.database.pools().items():
            metrics.pool(name, use)
        metrics.parts(supervision.states())

    async def _ask(self) -> None:
        services, metrics = self._runtime.services, self._runtime.metrics
        now = services.clock()
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                head = await services.live.log.head()
                queue = await queue_state(services.database.all_rows, now)
                circuits = await open_circuits(services.database.all_rows, now)
        except Exception as error:  # noqa: BLE001 - the other figures are wanted all the more
            log.warning("the figures of the event log and the queue cannot be read: %s", error)
            return
        metrics.event_lag.set(head.lag)
        metrics.queue(queue, now)
        metrics.circuits(circuits)


class MetricsEndpoint:
    """`/metrics`: whether and where it is served, to whom, and its content.

    With `TASKLOOM_METRICS_PORT` it is served on an address of its own and nowhere else; with
    `TASKLOOM_METRICS_TOKEN` it requires that as a Bearer token. With neither, strangers could read
    it on the public address, so it is then served in development only.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._figures = Figures(runtime)
        settings = runtime.settings.metrics
        self._token = None if settings.token is None else settings.token.get_secret_value()
        self.public = settings.port is None and (
            self._token is not None or not runtime.settings.server.production
        )

    async def answer(self, request: Request) -> Response:
        """The figures, for authorized clients."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if self._token is not None and not (
            scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), self._token.encode())
        ):
            raise HTTPException(
                401,
                "Send the value of TASKLOOM_METRICS_TOKEN as a Bearer token.",
                {"WWW-Authenticate": "Bearer"},
            )
        headers = {"Content-Type": CONTENT_TYPE_LATEST, **_NO_STORE}
        return Response(await self._figures.text(), headers=headers)


def health_routes(runtime: Runtime, *, version: str) -> list[BaseRoute]:
    """`/health`, `/health/live`, `/health/ready`, `/version` and, if it is public, `/metrics`."""
    health = Health(runtime)
    metrics = MetricsEndpoint(runtime)

    async def ready(_: Request) -> Response:
        findings = await health.findings()
        status = _worst(findings.values())
        body = {
            "status": status,
            "checks": {name: finding.payload() for name, finding in findings.items()},
        }
        code = 503 if status is _Status.FAILING else 200
        return JSONResponse(body, code, headers=_NO_STORE)

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=_NO_STORE)

    async def shown_version(_: Request) -> Response:
        server = runtime.settings.server
        body = {"version": version, "environment": server.env, "commit": server.commit}
        return JSONResponse(body, headers=_NO_STORE)

    return [
        Route("/health", ready),
        Route("/health/ready", ready),
        Route("/health/live", live),
        Route("/version", shown_version),
        *([Route("/metrics", metrics.answer)] if metrics.public else []),
    ]
