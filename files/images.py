"""Thumbnails and avatars, created from uploaded images.

Images that are shown in a page are always encoded again from the pixels alone: no metadata, no
second content behind the first. An image with too many pixels is rejected by its header before it
is decoded, since a few kilobytes can expand to gigabytes. The work is done in two threads (Pillow
releases the GIL), so that many images at once strain neither the event loop nor memory.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, Final, TypeVar

from errors import ErrorCode, Failure

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS: Final = 40_000_000
THUMBNAIL_PIXELS: Final = 320
THUMBNAIL_TYPE: Final = "image/webp"
AVATAR_SIZES: Final = (64, 128, 256)
# By the extension in the URL: Pillow's format name, and the media type.
AVATAR_TYPES: Final = {
    "png": ("PNG", "image/png"),
    "jpg": ("JPEG", "image/jpeg"),
    "webp": ("WEBP", "image/webp"),
}
_ATTACHED: Final = ("JPEG", "PNG", "GIF")
_AVATAR: Final = ("JPEG", "PNG", "WEBP")
_WORKERS: Final = 2

T = TypeVar("T")


class Images:
    """One per process."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_WORKERS, thread_name_prefix="images")

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def thumbnail(self, file: BinaryIO) -> bytes:
        """A WebP of at most 320 by 320 pixels, of an animation's first image.

        Raises `IMAGE_INVALID` and `IMAGE_TOO_LARGE`.
        """
        return await self._aside(lambda: _thumbnail(file))

    async def avatar(self, file: BinaryIO) -> dict[str, bytes]:
        """The middle square of a PNG, JPEG or WebP, in every size and type of avatars, by names
        such as `64.webp`. Raises `IMAGE_INVALID` and `IMAGE_TOO_LARGE`.
        """
        return await self._aside(lambda: _avatar(file))

    async def _aside(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _thumbnail(file: BinaryIO) -> bytes:
    box = (THUMBNAIL_PIXELS, THUMBNAIL_PIXELS)
    picture = _opened(file, _ATTACHED, box)
    picture.thumbnail(box)
    return _written(picture, "WEBP")


def _avatar(file: BinaryIO) -> dict[str, bytes]:
    from PIL import ImageOps

    largest = max(AVATAR_SIZES)
    # Twice the size, so that an image up to twice as long as high keeps enough pixels.
    picture = _opened(file, _AVATAR, (largest * 2, largest * 2))
    made = {}
    for size in AVATAR_SIZES:
        square = ImageOps.fit(picture, (size, size))
        for ending, (format_, _) in AVATAR_TYPES.items():
            made[f"{size}.{ending}"] = _written(square, format_)
    return made


def _opened(file: BinaryIO, formats: tuple[str, ...], box: tuple[int, int]) -> Image.Image:
    """The image upright, in RGB or RGBA, at least as large as `box` if it was.

    Pillow reports broken images with many kinds of errors.
    """
    from PIL import Image, ImageOps

    # Pillow's own limit warns at one number and fails at twice that; ours is checked below.
    Image.MAX_IMAGE_PIXELS = None
    file.seek(0)
    try:
        with Image.open(file, formats=formats) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise Failure(
                    f"The image exceeds the limit of {MAX_PIXELS:,} pixels; it has "
                    f"{picture.width:,} by {picture.height:,}.",
                    path=("file",),
                    code=ErrorCode.IMAGE_TOO_LARGE,
                    limit=MAX_PIXELS,
                    actual=picture.width * picture.height,
                )
            # A JPEG can be decoded at a half, a quarter or an eighth of its size.
            picture.draft("RGB", box)
            seen = ImageOps.exif_transpose(picture)
            clear = seen.has_transparency_data
            plain = seen.convert("RGBA" if clear else "RGB")
    except (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        IndexError,
        KeyError,
        EOFError,
        OverflowError,
        MemoryError,
        struct.error,
        zlib.error,
    ):
        raise Failure(
            f"The image cannot be read: it is damaged or not one of {', '.join(formats)}.",
            path=("file",),
            code=ErrorCode.IMAGE_INVALID,
        ) from None
    plain.info = {}
    return plain


def _written(picture: Image.Image, format_: str) -> bytes:
    from PIL import Image

    if format_ == "JPEG" and picture.mode == "RGBA":
        # JPEG has no transparency; use a white background.
        page = Image.new("RGB", picture.size, "white")
        page.paste(picture, mask=picture.getchannel("A"))
        picture = page
    target = BytesIO()
    if format_ == "PNG":
        picture.save(target, "PNG", optimize=True)
    else:
        picture.save(target, format_, quality=85)
    return target.getvalue()
