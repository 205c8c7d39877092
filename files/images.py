"""Pictures made of uploaded ones: thumbnails and avatars.

What is shown in a page is always made anew here, from the pixels alone: no metadata, no second
content behind the first. A picture with more pixels than one may have is refused by its header,
before anything is unpacked, since a few kilobytes can unpack to gigabytes. The work is done in two
threads of its own (Pillow lets others run meanwhile), so that neither the event loop nor memory
suffers from many at once.
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
# By the extension in the address: Pillow's name of the format, and the media type.
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
    """One a process."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_WORKERS, thread_name_prefix="images")

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def thumbnail(self, file: BinaryIO) -> bytes:
        """A WebP of at most 320 by 320 pixels, the first picture of an animation.

        Raises `IMAGE_INVALID` and `IMAGE_TOO_LARGE`.
        """
        return await self._aside(lambda: _thumbnail(file))

    async def avatar(self, file: BinaryIO) -> dict[str, bytes]:
        """The middle square of a PNG, JPEG or WebP, in every size and type that avatars have; by
        name, such as `64.webp`. Raises `IMAGE_INVALID` and `IMAGE_TOO_LARGE`.
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
    # Twice the size, as the picture may be twice as long as it is high.
    picture = _opened(file, _AVATAR, (largest * 2, largest * 2))
    made = {}
    for size in AVATAR_SIZES:
        square = ImageOps.fit(picture, (size, size))
        for ending, (format_, _) in AVATAR_TYPES.items():
            made[f"{size}.{ending}"] = _written(square, format_)
    return made


def _opened(file: BinaryIO, formats: tuple[str, ...], box: tuple[int, int]) -> Image.Image:
    """The picture as it is meant to be seen, in RGB or RGBA, at least as large as `box` if it was.

    Pillow tells of broken pictures by many kinds of errors.
    """
    from PIL import Image, ImageOps

    # Pillow's own limit warns at one number and refuses at twice that; ours is checked below.
    Image.MAX_IMAGE_PIXELS = None
    file.seek(0)
    try:
        with Image.open(file, formats=formats) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise Failure(
                    f"The picture has {picture.width:,} by {picture.height:,} pixels; at most "
                    f"{MAX_PIXELS:,} in all are taken.",
                    path=("file",),
                    code=ErrorCode.IMAGE_TOO_LARGE,
                )
            # A JPEG can be unpacked at a half, a quarter or an eighth of its size.
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
            "The picture cannot be read: it is broken, or of another type "
            f"than {', '.join(formats)}.",
            path=("file",),
            code=ErrorCode.IMAGE_INVALID,
        ) from None
    plain.info = {}
    return plain


def _written(picture: Image.Image, format_: str) -> bytes:
    from PIL import Image

    if format_ == "JPEG" and picture.mode == "RGBA":
        # JPEG knows no transparency; what was behind is white.
        page = Image.new("RGB", picture.size, "white")
        page.paste(picture, mask=picture.getchannel("A"))
        picture = page
    target = BytesIO()
    if format_ == "PNG":
        picture.save(target, "PNG", optimize=True)
    else:
        picture.save(target, format_, quality=85)
    return target.getvalue()
