"""Thumbnails and avatars: small, square if they should be, and without metadata."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from PIL import Image

from errors import ErrorCode, Failure
from files.images import Images
from tests import uploads


@pytest.fixture
def images() -> Iterator[Images]:
    made = Images()
    yield made
    made.close()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF"])
async def test_a_thumbnail_keeps_the_aspect_ratio(images: Images, format_: str) -> None:
    small = opened(await images.thumbnail(io.BytesIO(uploads.image(format_, (1600, 800)))))
    assert (small.format, small.size) == ("WEBP", (320, 160))


async def test_a_small_image_is_not_enlarged(images: Images) -> None:
    small = opened(await images.thumbnail(io.BytesIO(uploads.image("PNG", (40, 20)))))
    assert small.size == (40, 20)


async def test_a_photograph_is_rotated_and_its_metadata_removed(
    images: Images,
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    exif[0x010E] = "taken at home"
    target = io.BytesIO()
    Image.new("RGB", (800, 400), "teal").save(target, "JPEG", exif=exif)
    data = await images.thumbnail(target)
    assert opened(data).size == (160, 320)
    assert b"taken at home" not in data
    made = await images.avatar(target)
    assert all(b"taken at home" not in picture for picture in made.values())


async def test_an_avatar_is_the_central_square_in_every_size_and_type(images: Images) -> None:
    picture = Image.new("RGB", (900, 300), "red")
    picture.paste("blue", (300, 0, 600, 300))
    source = io.BytesIO()
    picture.save(source, "PNG")
    made = await images.avatar(source)
    assert sorted(made) == sorted(
        f"{size}.{ending}" for size in (64, 128, 256) for ending in ("png", "jpg", "webp")
    )
    for name, data in made.items():
        square = opened(data)
        side = int(name.partition(".")[0])
        assert square.size == (side, side)
        red, _, blue = square.convert("RGB").getpixel((2, 2))  # type: ignore[misc]
        assert blue > 200
        assert red < 60


async def test_transparency_is_kept_if_the_format_allows_it(images: Images) -> None:
    source = io.BytesIO()
    Image.new("RGBA", (100, 100), (0, 0, 0, 0)).save(source, "PNG")
    made = await images.avatar(source)
    assert opened(made["64.png"]).convert("RGBA").getpixel((5, 5)) == (0, 0, 0, 0)
    assert opened(made["64.jpg"]).getpixel((5, 5)) == (255, 255, 255)


async def test_a_decompression_bomb_is_refused_by_its_header(images: Images) -> None:
    for make in (images.thumbnail, images.avatar):
        with pytest.raises(Failure) as caught:
            await make(io.BytesIO(uploads.bomb()))
        assert caught.value.code is ErrorCode.IMAGE_TOO_LARGE


@pytest.mark.parametrize(
    "data",
    [
        uploads.image("PNG")[:60],
        uploads.image("JPEG", (400, 400))[:300],
        b"\x89PNG\r\n\x1a\n" + bytes(50),
        uploads.bomb(100, 100_000),
        b"GIF89a",
        uploads.image("TIFF"),
    ],
)
async def test_unreadable_images_are_refused(images: Images, data: bytes) -> None:
    with pytest.raises(Failure) as caught:
        await images.thumbnail(io.BytesIO(data))
    assert caught.value.code is ErrorCode.IMAGE_INVALID
