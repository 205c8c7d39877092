"""URLs of users' avatars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from db import models
from domain.accounts.avatar import version
from errors import BadInput
from files.images import AVATAR_SIZES
from graph.core import ids
from graph.core.fields import BatchInfo, arg

_LARGEST = max(AVATAR_SIZES)


async def avatar_urls(
    parents: Sequence[Any],
    info: BatchInfo,
    size: Annotated[int, arg("The width and height in pixels: 64, 128 or 256.")] = _LARGEST,
) -> list[str | None]:
    """The URLs of users' avatars (served by `web.files`). The version makes each image's URL
    unique.
    """
    if size not in AVATAR_SIZES:
        known = ", ".join(map(str, AVATAR_SIZES))
        raise BadInput(f"size must be one of {known}; it is {size}.", path=("size",))
    scaled = "" if size == _LARGEST else f"&size={size}"
    base = f"{info.context.services.settings.server.public_url}/users/"
    return [
        None
        if parent.avatar_id is None
        else f"{base}{ids.encode(models.User, parent.id)}/avatar.webp"
        f"?v={version(parent.avatar_id)}{scaled}"
        for parent in parents
    ]
