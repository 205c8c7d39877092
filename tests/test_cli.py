"""The command line: output, exit status, and what `taskloom serve` does as a process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import asyncpg
import font_roboto  # type: ignore[import-untyped]  # it only names its files
import httpx
import pytest

from auth.encryption import Encryption
from db import migrate
from db.embedded import destroy
from settings import (
    Settings,
    SettingsError,
    describe_settings,
    load_settings,
    unknown_variables,
)
from tests.commands import is_ours, taskloom
from tests.databases import empty_database

ROOT = Path(__file__).resolve().parents[1]
PRODUCTION = {
    "TASKLOOM_ENV": "production",
    "TASKLOOM_SECRET": "s" * 32,
    "TASKLOOM_PASSWORD_PEPPER": "p" * 16,
    "TASKLOOM_PUBLIC_URL": "https://tasks.example.com",
}


def environment(**variables: str) -> dict[str, str]:
    """Our environment without settings of Taskloom, plus the given ones."""
    kept = {name: value for name, value in os.environ.items() if not is_ours(name)}
    return {**kept, "PYTHONPATH": str(ROOT), **variables}


def separately(
    *arguments: str, folder: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="taskloom-test-"))
    folder.chmod(0o711)
    yield folder / "data"
    destroy(folder / "data")
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
async def empty(settings: Settings) -> AsyncIterator[str]:
    """The address of a database without tables."""
    async with empty_database(settings) as own:
        yield own.dsn


# Settings


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("TASKLOOM_PORT", "eighty", "valid integer"),
        ("PORT", "70000", "less than or equal to 65535"),
        ("TASKLOOM_ENV", "staging", "'development' or 'production'"),
        ("TASKLOOM_PUBLIC_URL", "tasks.example.com", "http:// or https://"),
        ("TASKLOOM_CORS_ORIGINS", "https://a.example.com/app", "is not an origin"),
        ("TASKLOOM_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.1/8", "10.0.0.1/8 has host bits set"),
        ("TASKLOOM_TRUSTED_PROXIES", "localhost", "addresses or networks"),
        (
            "TASKLOOM_STORAGE_URL",
            "s3://files?Region=eu-central-1",
            "region and endpoint, not Region",
        ),
        ("TASKLOOM_DB_SCHEMA", 'loom"; DROP', "match pattern"),
        ("DATABASE_URL", "mysql://root@localhost/x", "postgres:// or postgresql://"),
        ("DATABASE_URL", "postgres://root@localhost:port/x", "port must be a number"),
        ("REDIS_URL", "localhost:6379", "redis://"),
        ("TASKLOOM_SECRET", "short", "must have at least 32 characters; it has 5"),
        ("TASKLOOM_WEBHOOK_ALLOWED_NETWORKS", "10.20.0.0/16, 10", "'10' does not appear to be"),
    ],
)
def test_an_error_names_the_setting_and_its_rule(variable: str, value: str, rule: str) -> None:
    result = taskloom("settings", **{variable: value})
    assert result.returncode == 1
    assert variable in result.stderr
    assert rule in result.stderr


def test_files_that_settings_name_are_read_at_the_start(tmp_path: Path) -> None:
    for variable in ("TASKLOOM_FCM_CREDENTIALS", "TASKLOOM_MAIL_CA_FILE"):
        file = tmp_path / variable
        for content in (None, "{}"):
            if content is not None:
                file.write_text(content)
            result = taskloom("settings", **{variable: str(file)})
            assert result.returncode == 1
            assert f"  {variable}: " in result.stderr


def test_an_env_file_in_another_encoding_is_reported(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("TASKLOOM_MAIL_FROM=Jörg <a@example.com>".encode("latin-1"))
    with pytest.raises(SettingsError, match="must be text in UTF-8"):
        load_settings(env_file=tmp_path / ".env")


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_folder_that_cannot_be_used_is_reported(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "files"
    result = separately(command, TASKLOOM_PORT="0", TASKLOOM_STORAGE_URL=folder.as_uri())
    assert result.returncode == 1
    assert f"TASKLOOM_STORAGE_URL: cannot create {folder}" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_of_metrics_that_is_in_use_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        result = separately("serve", TASKLOOM_PORT="0", TASKLOOM_METRICS_PORT=port)
    assert result.returncode == 1
    assert "TASKLOOM_METRICS_PORT" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_backup_that_cannot_be_written_is_not_the_databases_fault(
    empty: str, tmp_path: Path
) -> None:
    result = taskloom("backup", str(tmp_path / "no" / "backup.tar.gz"), DATABASE_URL=empty)
    assert result.returncode == 1
    assert "No such file or directory" in result.stderr
    assert "database" not in result.stderr


def test_a_full_disk_is_not_the_databases_fault(empty: str, tmp_path: Path) -> None:
    command = shlex.join([sys.executable, "-m", "cli", "backup", str(tmp_path / "backup.tar.gz")])
    result = subprocess.run(
        # Python ignores the signal, and gets an error of the kind that a full disk causes.
        ["/bin/sh", "-c", f"trap '' XFSZ; ulimit -f 0; exec {command}"],
        cwd=ROOT,
        env=environment(DATABASE_URL=empty, TASKLOOM_DATA_DIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 1
    assert "File too large" in result.stderr
    assert "database" not in result.stderr
    assert "Traceback" not in result.stderr


def test_all_wrong_settings_are_reported_at_once() -> None:
    production = {"TASKLOOM_ENV": "production", "TASKLOOM_BCRYPT_ROUNDS": "10"}
    replica = {"DATABASE_URL": "postgres://a/b", "DATABASE_READ_URL": "postgres://c/b"}
    with pytest.raises(SettingsError) as raised:
        load_settings(
            {**production, **replica, "TASKLOOM_WORKERS": "2", "TASKLOOM_SUGGESTIONS": "true"},
            env_file=None,
        )
    assert [problem.partition(" ")[0] for problem in raised.value.problems] == [
        "REDIS_URL",
        "TASKLOOM_SECRET",
        "TASKLOOM_PASSWORD_PEPPER",
        "TASKLOOM_PUBLIC_URL",
        "TASKLOOM_BCRYPT_ROUNDS",
        "TASKLOOM_SUGGESTIONS",
    ]


def test_blanks_around_an_address_do_not_become_part_of_it() -> None:
    found = load_settings(
        {
            "TASKLOOM_PUBLIC_URL": " https://tasks.example.com/ ",
            "DATABASE_URL": "postgres://db/taskloom\n",
            "REDIS_URL": " redis://redis:6379/0\n",
        },
        env_file=None,
    )
    assert found.server.public_url == "https://tasks.example.com"
    assert found.database.dsn == "postgresql://db/taskloom"
    assert found.redis.url == "redis://redis:6379/0"
    with pytest.raises(SettingsError, match="TASKLOOM_PUBLIC_URL"):
        load_settings({"TASKLOOM_PUBLIC_URL": "https://tasks example.com"}, env_file=None)


def test_a_wrong_secret_is_not_repeated() -> None:
    result = taskloom("settings", TASKLOOM_SECRET="too-short", DATABASE_URL="x://me:hidden@h/d")
    assert result.returncode == 1
    assert "too-short" not in result.stderr
    assert "hidden" not in result.stderr


def test_settings_are_listed_with_secrets_masked() -> None:
    result = taskloom(
        "settings",
        TASKLOOM_SECRET="a-secret-of-more-than-thirty-two-characters",
        DATABASE_URL="postgres://me:hidden@db.example.com:6000/tasks?sslmode=require",
        REDIS_URL="redis://:hushed@cache.example.com/0",
        TASKLOOM_CORS_ORIGINS="https://a.example.com, https://b.example.com",
        TASKLOOM_PROT="8001",
    )
    assert result.returncode == 0
    for secret in ("a-secret-of", "hidden", "hushed"):
        assert secret not in result.stdout
    assert "postgresql://me:********@db.example.com:6000/tasks?sslmode=require" in result.stdout
    assert "TASKLOOM_CORS_ORIGINS = https://a.example.com,https://b.example.com" in result.stdout
    assert "did you mean TASKLOOM_PORT?\n" in result.stderr


def test_who_reads_no_further_ends_the_output_quietly() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "cli", "settings"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


def test_invalid_fonts_are_reported_by_name(tmp_path: Path) -> None:
    def problem() -> str:
        with pytest.raises(SettingsError) as caught:
            load_settings({"TASKLOOM_FONTS_DIR": str(tmp_path / "fonts")}, env_file=None)
        return str(caught.value)

    folder = tmp_path / "fonts"
    assert "No such file or directory" in problem()
    folder.mkdir()
    (folder / "README.txt").write_text("no font")
    assert "TASKLOOM_FONTS_DIR" in problem()
    assert "no .ttf or .otf file" in problem()
    good = (Path(font_roboto.__file__).parent / "files" / "Roboto-Regular.ttf").read_bytes()
    (folder / "Good.TTF").write_bytes(good)
    found = load_settings({"TASKLOOM_FONTS_DIR": str(folder)}, env_file=None)
    assert found.exports.fonts_dir == folder
    for name, content in {
        "Empty.ttf": b"",
        "Cut.ttf": good[: len(good) // 2],
        "Web.otf": b"wOF2" + good[4:],
    }.items():
        (folder / name).write_bytes(content)
        assert f"not a whole TrueType or OpenType font: {name}" in problem()
        (folder / name).unlink()


def test_every_setting_has_a_variable_a_description_and_a_line() -> None:
    rows = describe_settings(load_settings(env_file=None))
    variables = [row.variable for row in rows]
    assert len(set(variables)) == len(variables)
    for row in rows:
        assert row.variable, row
        assert row.description.endswith("."), row


def test_the_environment_overrides_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TASKLOOM_PORT=8100\nTASKLOOM_WORKERS=3\nOTHER=1\n")
    listed = separately("settings", folder=tmp_path, TASKLOOM_PORT="8200").stdout
    assert "TASKLOOM_PORT or PORT = 8200" in listed
    assert "TASKLOOM_WORKERS = 3" in listed


def test_an_empty_variable_counts_as_unset() -> None:
    settings = load_settings({"DATABASE_URL": "", "TASKLOOM_DB_SCHEMA": ""}, env_file=None)
    assert settings.database.url is None
    assert settings.database.schema_name is None


@pytest.mark.parametrize("missing", [name for name in PRODUCTION if name != "TASKLOOM_ENV"])
def test_production_refuses_to_start_without(missing: str) -> None:
    given = {name: value for name, value in PRODUCTION.items() if name != missing}
    with pytest.raises(SettingsError, match=f"{missing} must be set in production"):
        load_settings(given, env_file=None)


def test_production_starts_with_all_of_them() -> None:
    assert load_settings(PRODUCTION, env_file=None).server.production


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "taskloom.example"])
def test_listening_to_others_requires_secrets(host: str) -> None:
    secrets = {name: PRODUCTION[name] for name in ("TASKLOOM_SECRET", "TASKLOOM_PASSWORD_PEPPER")}
    assert load_settings({"TASKLOOM_HOST": host, **secrets}, env_file=None).server.host == host
    for missing in secrets:
        given = {name: value for name, value in secrets.items() if name != missing}
        with pytest.raises(SettingsError, match=f"{missing} must be set when TASKLOOM_HOST"):
            load_settings({"TASKLOOM_HOST": host, **given}, env_file=None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_listening_only_locally_requires_no_secrets(host: str) -> None:
    assert load_settings({"TASKLOOM_HOST": host}, env_file=None).server.host == host


def test_unknown_variables_of_other_programs_are_ignored() -> None:
    assert unknown_variables({"PATH": "/bin", "TASKLOOM_HOST": "::1"}) == []


# Migrations


async def test_concurrent_migrations_are_applied_once(empty: str) -> None:
    overrides = {"DATABASE_URL": empty, "TASKLOOM_DB_SCHEMA": "together"}
    database = load_settings(overrides, env_file=None).database
    missing = await migrate.pending(database)
    assert missing
    applied = await asyncio.gather(*[migrate.upgrade(database) for _ in range(4)])
    assert sorted(applied, key=len) == [[], [], [], missing]
    assert await migrate.pending(database) == []
    assert await migrate.differences(database) == []


def test_migrate_lists_pending_migrations(empty: str) -> None:
    variables: dict[str, Any] = {"DATABASE_URL": empty, "TASKLOOM_DB_SCHEMA": "told"}
    assert taskloom("migrate", "--check", **variables).returncode == 1
    assert "Applied 0001" in taskloom("migrate", **variables).stdout
    assert taskloom("migrate", "--check", **variables).returncode == 0
    assert "Nothing to migrate" in taskloom("migrate", **variables).stdout


@pytest.mark.parametrize("said", ["NULL", "'Works with the code of revision 9998'"])
async def test_a_database_of_a_newer_version_is_not_touched(empty: str, said: str) -> None:
    variables: dict[str, Any] = {"DATABASE_URL": empty, "TASKLOOM_DB_SCHEMA": "newer"}
    await migrate.upgrade(load_settings(variables, env_file=None).database)
    connection = await asyncpg.connect(empty)
    await connection.execute("UPDATE newer.alembic_version SET version_num = '9999'")
    await connection.execute(f"COMMENT ON TABLE newer.alembic_version IS {said}")
    result = taskloom("migrate", **variables)
    await connection.execute("DROP SCHEMA newer CASCADE")
    await connection.close()
    assert result.returncode == 1
    assert "newer version of Taskloom" in result.stderr


async def test_wrong_counters_are_reported_and_repaired(empty: str) -> None:
    variables: dict[str, Any] = {"DATABASE_URL": empty}
    taskloom("migrate", **variables)
    assert "All counters are right." in taskloom("check", "--counters", **variables).stdout
    connection = await asyncpg.connect(empty)
    list_id = UUID(int=7)
    await connection.execute("INSERT INTO list_counts VALUES ($1, 10, 0, 3)", list_id)
    await connection.close()
    line = f"list_counts: list_id {list_id}, status 10, priority 0: 3 instead of 0"
    for arguments in ([], ["--repair"]):
        found = taskloom("check", "--counters", *arguments, **variables)
        assert (found.returncode, found.stdout.splitlines()[0]) == (1, line)
    right = taskloom("check", "--counters", **variables)
    assert (right.returncode, right.stdout) == (0, "All counters are right.\n")
    assert taskloom("check", **variables).returncode == 2


def test_row_security_is_not_turned_on_for_processes_that_would_see_no_rows(empty: str) -> None:
    assert taskloom("migrate", DATABASE_URL=empty).returncode == 0
    refused = taskloom("row-security", "on", DATABASE_URL=empty)
    assert refused.returncode == 1
    assert "TASKLOOM_ROW_SECURITY" in refused.stderr
    assert taskloom("user", "promote", "nobody", DATABASE_URL=empty).returncode == 1
    for wanted in ("on", "off"):
        done = taskloom(
            "row-security", wanted, DATABASE_URL=empty, TASKLOOM_ROW_SECURITY="prepared"
        )
        assert done.returncode == 0, done.stderr


def test_an_unreachable_database_is_reported_in_one_line() -> None:
    result = separately("migrate", DATABASE_URL="postgres://nobody@127.0.0.1:1/none")
    assert result.returncode == 1
    assert result.stderr.startswith("Error: the database of DATABASE_URL cannot be used")
    assert "Traceback" not in result.stderr


# Users


async def test_users_are_created_deactivated_and_promoted(empty: str) -> None:
    variables: dict[str, Any] = {"DATABASE_URL": empty, "TASKLOOM_BCRYPT_ROUNDS": "4"}

    async def standing() -> tuple[bool, bool]:
        connection = await asyncpg.connect(empty)
        row = await connection.fetchrow("SELECT is_active, is_admin FROM users")
        await connection.close()
        assert row is not None
        return row["is_active"], row["is_admin"]

    made = taskloom(
        "user", "create", "Grace", "grace@example.com", typed="a long password\n", **variables
    )
    assert made.returncode == 0, made.stderr
    assert await standing() == (True, False)

    again = taskloom("user", "create", "grace", "grace", typed="short\n", **variables)
    assert again.returncode == 1
    assert "already in use" in again.stderr
    assert "email address" in again.stderr
    assert "at least 8 characters" in again.stderr

    assert taskloom("user", "promote", "grace", **variables).returncode == 0
    assert await standing() == (True, True)
    assert taskloom("user", "deactivate", "GRACE", **variables).returncode == 0
    assert await standing() == (False, True)
    assert taskloom("user", "activate", "grace", **variables).returncode == 0
    assert await standing() == (True, True)

    nobody = taskloom("user", "promote", "nobody", **variables)
    assert nobody.returncode == 1
    assert "no user nobody" in nobody.stderr


# Serving


def start(data_dir: Path, *options: str, **variables: str) -> subprocess.Popen[str]:
    """`taskloom serve` on a free port, with an embedded database and no demo data."""
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "serve", "--no-demo", *options],
        cwd=ROOT,
        env=environment(**{"TASKLOOM_PORT": "0", "TASKLOOM_DATA_DIR": str(data_dir), **variables}),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def address(output: IO[str] | None) -> str:
    """The address that it serves, as printed."""
    assert output is not None
    for line in output:
        if found := re.search(r"serves (http://\S+)/graphql", line):
            return found[1]
    raise AssertionError("the server ended without serving")


def answers(url: str) -> httpx.Response:
    with httpx.Client(transport=httpx.HTTPTransport(retries=9)) as client:
        return client.post(f"{url}/graphql", json={"query": "{ __typename }"}, timeout=30)


@pytest.mark.parametrize(
    ("number", "workers"),
    [
        (signal.SIGTERM, "2"),
        (signal.SIGINT, "1"),
        pytest.param(signal.SIGTERM, "1", marks=pytest.mark.nightly),
        pytest.param(signal.SIGINT, "2", marks=pytest.mark.nightly),
    ],
)
def test_the_server_stops_cleanly_on_request(
    data_dir: Path, number: signal.Signals, workers: str
) -> None:
    process = start(data_dir, TASKLOOM_WORKERS=workers)
    url = address(process.stdout)
    assert answers(url).json()["data"] == {"__typename": "Query"}

    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Stopped the embedded PostgreSQL" in output


@pytest.mark.nightly
def test_processes_that_a_busy_machine_delays_are_not_killed(data_dir: Path) -> None:
    """Longer than the five seconds after which uvicorn would kill them; signals are still heard."""
    process = start(data_dir, "--no-worker", TASKLOOM_WORKERS="3")
    assert answers(address(process.stdout)).status_code == 200
    delayed, killed, other = sorted(server_processes(process.pid))
    os.kill(delayed, signal.SIGSTOP)
    try:
        # The others are looked after meanwhile.
        os.kill(killed, signal.SIGKILL)
        for _ in range(600):
            if len(after := server_processes(process.pid)) == 3 and killed not in after:
                break
            time.sleep(0.1)
        assert {delayed, other} < after
        time.sleep(6)
        assert delayed in server_processes(process.pid)
        os.kill(delayed, signal.SIGCONT)
        time.sleep(1)
        assert server_processes(process.pid) == after
    finally:
        os.kill(delayed, signal.SIGCONT)
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0


def server_processes(parent: int) -> set[int]:
    lists = Path(f"/proc/{parent}/task").glob("*/children")
    children = {int(pid) for path in lists for pid in path.read_text().split()}
    return {pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def await_free(port: int) -> None:
    """Until no process listens on the port."""
    for _ in range(600):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return
        time.sleep(0.1)
    raise AssertionError(f"port {port} stays in use")


def test_a_new_server_replaces_a_killed_one(data_dir: Path) -> None:
    process = start(data_dir, TASKLOOM_WORKERS="2")
    first = address(process.stdout)
    assert answers(first).status_code == 200
    process.kill()
    process.communicate(timeout=60)

    # Its children end with it and free the port; the next server finds its database.
    port = int(first.rpartition(":")[2])
    await_free(port)
    again = start(data_dir, "--no-worker", TASKLOOM_PORT=str(port))
    assert again.stdout is not None
    assert "embedded PostgreSQL" in again.stdout.readline()
    assert answers(address(again.stdout)).status_code == 200
    again.terminate()
    again.communicate(timeout=60)
    assert again.returncode == 0


def test_a_port_in_use_is_reported_before_anything_starts(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = separately("serve", TASKLOOM_PORT=str(port), TASKLOOM_DATA_DIR=str(data_dir))
    assert result.returncode == 1
    assert f"port {port}" in result.stderr
    assert not data_dir.exists()


# Secrets


async def test_stored_secrets_are_encrypted_again(empty: str) -> None:
    former, present = "f" * 40, "p" * 40
    schema: dict[str, Any] = {"DATABASE_URL": empty, "TASKLOOM_DB_SCHEMA": "sealed"}
    taskloom("migrate", **schema)
    taskloom(
        *("user", "create", "grace", "grace@example.com"),
        typed="a hopper of bugs\n",
        TASKLOOM_BCRYPT_ROUNDS="4",
        **schema,
    )
    before = load_settings({"TASKLOOM_SECRET": former}, env_file=None)
    sealed = Encryption(before).encrypt(b"whsec_x")
    connection = await asyncpg.connect(empty)
    await connection.execute(
        "INSERT INTO sealed.webhooks (id, user_id, url, name, status, secret, created_at, "
        "updated_at, version) SELECT id, id, 'https://example.com/', 'example.com', 1, $1, now(), "
        "now(), 1 FROM sealed.users",
        sealed,
    )

    async def stored() -> bytes:
        found: bytes = await connection.fetchval("SELECT secret FROM sealed.webhooks")
        return found

    lost = taskloom("secrets", "reencrypt", TASKLOOM_SECRET=present, **schema)
    assert lost.returncode == 1
    assert "TASKLOOM_SECRETS_OLD" in lost.stderr
    assert await stored() == sealed
    done = taskloom(
        "secrets", "reencrypt", TASKLOOM_SECRET=present, TASKLOOM_SECRETS_OLD=former, **schema
    )
    assert "1 webhooks" in done.stdout, done.stderr
    alone = Encryption(load_settings({"TASKLOOM_SECRET": present}, env_file=None))
    assert alone.decrypt(await stored()) == b"whsec_x"
    await connection.close()
