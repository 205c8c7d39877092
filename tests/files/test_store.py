"""The file store in a folder, and in a bucket of a real S3 server."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from errors import Unavailable
from files.store import FileStore, open_store
from settings import Settings, SettingsError, load_settings
from tests import servers
from tests.factories import fresh_id

BIG = os.urandom(10_000_000)


def settings_of(url: str | None, **more: str) -> Settings:
    given = {} if url is None else {"TASKLOOM_STORAGE_URL": url}
    return load_settings(given | more, env_file=None)


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, str]]:
    with servers.s3("taskloom") as address:
        yield {
            "TASKLOOM_STORAGE_URL": f"s3://taskloom/some/prefix?endpoint={address}",
            "TASKLOOM_STORAGE_ACCESS_KEY": servers.S3_KEY,
            "TASKLOOM_STORAGE_SECRET_KEY": servers.S3_SECRET,
        }


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    if request.param == "folder":
        return open_store(settings_of(tmp_path.as_uri()))
    given = dict(request.getfixturevalue("bucket"))
    return open_store(settings_of(given.pop("TASKLOOM_STORAGE_URL"), **given))


async def read(store: FileStore, file_id: UUID, part: tuple[int, int] | None = None) -> bytes:
    return b"".join([chunk async for chunk in await store.read(file_id, "original", part)])


async def test_files_are_read_whole_and_in_ranges(store: FileStore) -> None:
    file_id = fresh_id()
    await store.put(file_id, "original", io.BytesIO(BIG))
    assert await read(store, file_id) == BIG
    assert await read(store, file_id, (5_000_000, 5_000_010)) == BIG[5_000_000:5_000_010]
    chunks = [len(chunk) async for chunk in await store.read(file_id, "original")]
    # In chunks: nothing holds the whole file in memory.
    assert max(chunks) < 2_000_000


async def test_a_file_is_deleted_with_its_thumbnails_and_no_other_file(store: FileStore) -> None:
    gone, kept = fresh_id(), fresh_id()
    for file_id in (gone, kept):
        await store.put(file_id, "original", b"1")
        await store.put(file_id, "thumbnail", b"2")
    await store.remove(gone)
    await store.remove(gone)
    for name in ("original", "thumbnail"):
        with pytest.raises(Unavailable):
            await store.read_all(gone, name)
        assert await store.read_all(kept, name)


async def test_a_later_write_replaces_an_earlier_one(store: FileStore) -> None:
    file_id = fresh_id()
    await store.put(file_id, "original", b"first, and longer")
    await store.put(file_id, "original", b"second")
    assert await store.read_all(file_id, "original") == b"second"


async def test_wrong_credentials_and_an_unavailable_server(bucket: dict[str, str]) -> None:
    url = bucket["TASKLOOM_STORAGE_URL"]
    wrong = {"TASKLOOM_STORAGE_ACCESS_KEY": "x", "TASKLOOM_STORAGE_SECRET_KEY": "y"}
    stranger = open_store(settings_of(url, **wrong))
    with pytest.raises(Unavailable):
        await stranger.put(fresh_id(), "original", b"1")


def test_the_folder_is_in_the_data_folder_by_default(tmp_path: Path) -> None:
    open_store(settings_of(None, TASKLOOM_DATA_DIR=str(tmp_path / "data")))
    assert (tmp_path / "data" / "files").is_dir()


@pytest.mark.parametrize(
    "given",
    [
        {"TASKLOOM_STORAGE_URL": "files"},
        {"TASKLOOM_STORAGE_URL": "https://bucket.example"},
        {"TASKLOOM_STORAGE_URL": "s3://"},
        {"TASKLOOM_STORAGE_ACCESS_KEY": "only"},
        {"TASKLOOM_STORAGE_SECRET_KEY": "only-this-secret"},
    ],
)
def test_invalid_settings_are_reported_by_name(given: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(given, env_file=None)
    assert "TASKLOOM_STORAGE_" in str(caught.value)
    assert "only-this-secret" not in str(caught.value)
