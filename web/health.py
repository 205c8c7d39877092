"""How the process is: for load balancers, for operators, for Prometheus.

`live` says that the process answers at all, and asks nobody else, so that an orchestrator does not
restart servers because their database is away. `ready` says that requests can be served: the
database answers and is migrated, and Redis, where it is used, can be reached.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import literal, select
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from db import revision
from db.read import Statement
from web.runtime import Runtime

log = logging.getLogger("taskloom.web")

_CHECK_SECONDS: Final = 3.0
# Load balancers ask often; the database is asked at most every second.
_REMEMBER_SECONDS: Final = 1.0
_ONE: Final = Statement(select(literal(1).label("one")))
_NO_STORE: Final = {"Cache-Control": "no-store"}


@dataclass(slots=True)
class _Finding:
    ok: bool
    detail: str | None = None

    def payload(self) -> dict[str, Any]:
        found: dict[str, Any] = {"status": "ok" if self.ok else "failing"}
        if self.detail:
            found["detail"] = self.detail
        return found


class Health:
    """The checks of one process."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._migrated = False
        self._findings: dict[str, _Finding] = {}
        self._checked_at = float("-inf")
        self._checking = asyncio.Lock()

    async def findings(self) -> dict[str, _Finding]:
        """What each part says, at most a second old."""
        async with self._checking:
            if time.monotonic() - self._checked_at > _REMEMBER_SECONDS:
                checks: dict[str, Awaitable[_Finding]] = {
                    "database": _within(self._database()),
                    "migrations": _within(self._migrations()),
                }
                if self._runtime.settings.redis.url is not None:
                    checks["redis"] = _within(self._redis())
                found = await asyncio.gather(*checks.values())
                self._findings = dict(zip(checks, found, strict=True))
                if self._runtime.connections.stopping:
                    self._findings["server"] = _Finding(ok=False, detail="stopping")
                self._checked_at = time.monotonic()
            return self._findings

    async def _database(self) -> _Finding:
        await self._runtime.services.database.reader.fetch(_ONE, {})
        return _Finding(ok=True)

    async def _migrations(self) -> _Finding:
        # Once applied, migrations stay applied for as long as this process runs.
        if not self._migrated:
            database = self._runtime.settings.database
            if not await revision.is_newest(database):
                from db import migrate

                missing = await migrate.pending(database)
                return _Finding(ok=False, detail=f"{len(missing)} pending")
            self._migrated = True
        return _Finding(ok=True)

    async def _redis(self) -> _Finding:
        return _Finding(ok=await self._runtime.services.bus.ready())


async def _measure_log(runtime: Runtime) -> None:
    """How far readers of events are behind. Left as it was where the database does not answer."""
    try:
        head = await asyncio.wait_for(runtime.services.live.log.head(), _CHECK_SECONDS)
    except Exception as error:  # noqa: BLE001 - the other figures are wanted all the more
        log.warning("the event log's lag cannot be measured: %s", error)
    else:
        runtime.metrics.event_lag.set(head.lag)


async def _within(check: Awaitable[_Finding]) -> _Finding:
    try:
        return await asyncio.wait_for(check, _CHECK_SECONDS)
    except TimeoutError:
        return _Finding(ok=False, detail="no answer in time")
    except Exception as error:  # noqa: BLE001 - whatever is wrong, it is not ready
        # The class alone: messages may hold host names and users.
        return _Finding(ok=False, detail=type(error).__name__)


def health_routes(runtime: Runtime, *, version: str) -> list[BaseRoute]:
    """`/health`, `/health/live`, `/health/ready`, `/version` and `/metrics`."""
    health = Health(runtime)

    async def ready(_: Request) -> Response:
        findings = await health.findings()
        ok = all(finding.ok for finding in findings.values())
        body = {
            "status": "ok" if ok else "failing",
            "checks": {name: finding.payload() for name, finding in findings.items()},
        }
        return JSONResponse(body, 200 if ok else 503, headers=_NO_STORE)

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=_NO_STORE)

    async def shown_version(_: Request) -> Response:
        server = runtime.settings.server
        body = {"version": version, "environment": server.env, "commit": server.commit}
        return JSONResponse(body, headers=_NO_STORE)

    async def metrics(_: Request) -> Response:
        await _measure_log(runtime)
        text = runtime.metrics.render()
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST, **_NO_STORE})

    return [
        Route("/health", ready),
        Route("/health/ready", ready),
        Route("/health/live", live),
        Route("/version", shown_version),
        Route("/metrics", metrics),
    ]
