"""URLs of users' avatars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from db import models
from domain.accounts.avatar import version
from graph.core import ids
from graph.core.fields import BatchInfo


async def avatar_urls(parents: Sequence[Any], info: BatchInfo) -> list[str | None]:
    """The URLs of users' avatars (served by `web.files`). The version makes each image's URL
    unique.
    """
    base = f"{info.context.services.settings.server.public_url}/users/"
    return [
        None
        if parent.avatar_id is None
        else f"{base}{ids.encode(models.User, parent.id)}/avatar.webp?v={version(parent.avatar_id)}"
        for parent in parents
    ]
