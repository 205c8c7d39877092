"""GraphQL in the worker, imported when a webhook, an export or a message first needs it: the schema
and its libraries take 35 MiB.

So modules that the worker imports at its start import `jobs.executing`, `jobs.delivery`,
`jobs.export_files` and everything of the schema within functions, after `load`.
"""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any

from auth.api_keys import viewer_with
from auth.viewer import Viewer
from db.models import ApiKey, User
from jobs.worker_context import WorkerContext

if TYPE_CHECKING:
    from jobs.executing import Graph

_loaded: set[str] = set()


def viewer_of(user: User, key: ApiKey | None = None) -> Viewer:
    """The viewer for a user, as in a session, or as a program with their API key."""
    if key is not None:
        return viewer_with(key, user)
    return Viewer(
        user_id=user.id,
        is_admin=user.is_admin,
        timezone=user.timezone,
        week_start=user.week_start,
    )


async def load(module: str = "jobs.executing") -> None:
    """Import a module that imports the schema. This takes seconds, so a thread does it: the event
    loop has leases to extend.
    """
    if module not in _loaded:
        await asyncio.to_thread(importlib.import_module, module)
        _loaded.add(module)


def graph_of(context: WorkerContext) -> Graph:
    """The worker's own, made on first use, after `load`."""
    from jobs.executing import Graph

    made: Any = context.parts.get(Graph)
    if made is None:
        made = context.parts[Graph] = Graph(context)
        context.closing.append(made.close)
    return made  # type: ignore[no-any-return]
