"""Name, version and clock of the server."""

from __future__ import annotations

import datetime as dt

import strawberry

from domain.notifications.web_push import public_key
from files.kinds import KINDS
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
    is_registration_open: bool = attribute(
        "Whether `userRegister` creates accounts. If not, an administrator of the server does."
    )
    max_upload_bytes: int = attribute("The size limit of an uploaded file, in bytes.")
    upload_types: list[str] = attribute(
        "The content types that attachments can have, such as `image/png`."
    )


async def _server_info(info: BatchInfo) -> ServerInfo:
    settings = info.context.services.settings
    server = settings.server
    return ServerInfo(
        name="Taskloom",
        version=version(),
        commit=server.commit,
        environment=server.env,
        now=info.context.now,
        web_push_key=public_key(settings.push),
        is_registration_open=settings.auth.registration == "open",
        max_upload_bytes=settings.storage.upload_bytes,
        upload_types=[kind.content_type for kind in KINDS],
    )


@strawberry.type
class ServerQuery:
    server_info: ServerInfo = root(
        _server_info, "Information about the server. No sign-in required."
    )
