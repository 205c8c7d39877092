"""Changes that come by a route of their own and not by GraphQL."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from inspect import isawaitable

from auth.request import RequestInfo
from auth.viewer import NOBODY, Viewer
from domain.work import Work, begin
from events.bus import Announcement
from web.runtime import Runtime

log = logging.getLogger("taskloom.web")


@asynccontextmanager
async def change(
    runtime: Runtime, request: RequestInfo, viewer: Viewer = NOBODY
) -> AsyncIterator[Work]:
    """A unit of work, with all that follows its commit, as a mutation has it."""
    services = runtime.services
    async with begin(services.database, viewer, now=services.clock(), request=request) as work:
        yield work
    try:
        for callback in work.after_commit:
            waiting = callback()
            if isawaitable(waiting):
                await waiting
        if work.recorded:
            await services.bus.announce(
                Announcement(projects=work.touched_projects, users=work.touched_users)
            )
    except Exception:
        log.exception("request %s: the change is committed, telling of it failed", request.id)
