"""Name, version and clock of the server."""

from __future__ import annotations

import datetime as dt

import strawberry

from domain.notifications.web_push import public_key
from graph.core.fields import BatchInfo, attribute, root
from settings import version


@strawberry.type(description="Information about the server.")
class ServerInfo:
    """Lets clients find out which server they talk to."""

    name: str = attribute("Always `Taskloom`.")
    version: str = attribute("The version of the server.")
    commit: str = attribute("The Git commit of the build, if known.")
    environment: str = attribute("`development` or `production`.")
    now: dt.datetime = attribute("The server's clock, in UTC.")
    web_push_key: str | None = attribute(
        "The `applicationServerKey` that browsers need to subscribe to push messages. Null if "
        "the server does not send push messages to browsers."
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
    server_info: ServerInfo = root(
        _server_info, "Information about the server. No sign-in required."
    )
