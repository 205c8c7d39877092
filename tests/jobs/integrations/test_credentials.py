"""Credentials go in, and do not come out again."""

from __future__ import annotations

from sqlalchemy import text

from auth.encryption import Encryption
from domain.integrations import integration as integrations
from settings import load_settings
from tests.jobs.integrations.conftest import Scene
from tests.jobs.services import TOKEN


async def test_credentials_are_nowhere_to_be_read(scene: Scene) -> None:
    integration = await scene.github()
    await scene.slack()
    await scene.later()
    async with scene.house.database.session() as session:
        for table in ("integrations", "events", "jobs"):
            rows = await session.execute(text(f"SELECT t::text FROM {table} t"))
            written = "\n".join(row[0] for row in rows)
            assert TOKEN not in written
            assert TOKEN.encode().hex() not in written
            assert "/hook" not in written
    assert TOKEN not in repr(await scene.fresh(integration))


async def test_keys_are_rotated_without_losing_credentials(scene: Scene) -> None:
    integration = await scene.github()
    old = (await scene.fresh(integration)).credentials
    secret = scene.house.settings.auth.secret.get_secret_value()
    first = {"TASKLOOM_SECRET": secret, "TASKLOOM_ENCRYPTION_KEYS": "k" * 40}
    rotated = Encryption(load_settings(first, env_file=None))
    assert rotated.decrypt(old).decode() == TOKEN
    async with scene.house.work() as work:
        assert await integrations.reencrypt(work, rotated) >= 1
    new = (await scene.fresh(integration)).credentials
    assert new != old
    # The key that encrypted it before is no longer needed.
    alone = {"TASKLOOM_SECRET": "s" * 40, "TASKLOOM_ENCRYPTION_KEYS": "k" * 40}
    assert Encryption(load_settings(alone, env_file=None)).decrypt(new).decode() == TOKEN
