"""What server this is."""

from __future__ import annotations

import datetime as dt

import strawberry

from domain.notifications.web_push import public_key
from graph.core.fields import BatchInfo, attribute, root
from settings import version


@strawberry.type(description="What server this is.")
class ServerInfo:
    """For clients that want to know whom they talk to."""

    name: str = attribute("Taskloom.")
    version: str = attribute("The version of the server.")
    commit: str = attribute("The commit it was built from, if known.")
    environment: str = attribute("`development` or `production`.")
    now: dt.datetime = attribute("The server's clock.")
    web_push_key: str | None = attribute(
        "The `applicationServerKey` with which browsers subscribe to push messages; null where the "
        "server sends none to browsers."
    )


async def _server_info(info: BatchInfo) -> ServerInfo:
    server = info.context.services.settings.server
    return ServerInfo(
        name="Taskloom",
        version=version(),
        commit=server.commit,
        environment=server.env,
        now=info.context.now,
        web_push_key=public_key(info.context.services.settings.push),
    )


@strawberry.type
class ServerQuery:
    """Root fields."""

    server_info: ServerInfo = root(_server_info, "What server this is. For everybody.")
