"""Settings: their rules, what is read for them at the start, and how they are listed."""

from __future__ import annotations

from pathlib import Path

import font_roboto  # type: ignore[import-untyped]  # it only names its files
import pytest

from settings import (
    SettingsError,
    describe_settings,
    load_settings,
    notes,
    unknown_variables,
)
from tests.commands import separately, taskloom

PRODUCTION = {
    "TASKLOOM_ENV": "production",
    "TASKLOOM_SECRET": "s" * 32,
    "TASKLOOM_PASSWORD_PEPPER": "p" * 16,
    "TASKLOOM_PUBLIC_URL": "https://tasks.example.com",
}


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
        ("DATABASE_URL", "postgres://me:p/w@db/x", "%2F"),
        ("DATABASE_URL", "postgres://me:p#w@db/x", "%23"),
        ("DATABASE_URL", "postgres://me:p[w@db/x", "%5B"),
        ("DATABASE_URL", "postgres://db/x?ssl=true", "sslmode=require"),
        ("DATABASE_URL", "postgres://db/x?target_session_attrs=master", "read-write"),
        ("REDIS_URL", "localhost:6379", "redis://"),
        ("REDIS_URL", "redis://redis:port/0", "a port is a number"),
        ("REDIS_URL", "redis://:p/w@redis/0", "%2F"),
        ("REDIS_URL", "redis://redis/cache", "number of a database"),
        ("REDIS_URL", "redis://redis/0?ssl_cert_reqs=none", "parameters ssl_cert_reqs"),
        ("TASKLOOM_HOST", "[::1]", "without port, path and brackets"),
        ("TASKLOOM_MAIL_HOST", "smtp.example.com:587", "without port, path and brackets"),
        ("TASKLOOM_METRICS_HOST", "http://0.0.0.0", "without port, path and brackets"),
        ("TASKLOOM_PUBLIC_URL", "https://tasks.example.com:port", "a port is a number"),
        ("TASKLOOM_PUBLIC_URL", "https://tasks.example.com/?a=b", "without ? and #"),
        ("TASKLOOM_STORAGE_URL", "s3://files?endpoint=minio:9000", "http:// or https://"),
        ("TASKLOOM_PASSWORD_PEPPERS_OLD", f"1:{'p' * 16}", "TASKLOOM_PASSWORD_PEPPER_VERSION is 1"),
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
    for address in ("x://me:hidden@h/d", "postgres://me:hid#den@h/d", "redis://:hid/den@h/0"):
        result = taskloom(
            "settings",
            TASKLOOM_SECRET="too-short",
            DATABASE_URL=address,
            REDIS_URL=address,
            TASKLOOM_STORAGE_URL="s3://key:hidden@bucket",
        )
        assert result.returncode == 1
        assert "too-short" not in result.stderr
        assert "hid" not in result.stderr


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


VARIABLES = [
    row.variable.partition(" ")[0] for row in describe_settings(load_settings(env_file=None))
]
VERBATIM = {"TASKLOOM_SECRET", "TASKLOOM_PASSWORD_PEPPER"}


@pytest.mark.parametrize("variable", VARIABLES)
def test_what_files_and_shells_add_is_not_part_of_any_value(variable: str) -> None:
    """Blanks alone are nothing, quotes are refused, and so is what is not text. What is too long to
    read is not repeated.
    """
    assert load_settings({variable: " \n"}, env_file=None) == load_settings({}, env_file=None)
    for value in ('"x"', "'x'", "\udce4", "?" * 3000):
        try:
            load_settings({variable: value}, env_file=None)
        except SettingsError as error:
            (problem,) = error.problems
            assert variable in problem
            assert len(problem) < 500
            known = ("has quotes around it", "is not an origin", "name addresses or networks")
            if value[0] in "\"'" and variable not in VERBATIM:
                assert any(part in problem for part in known), problem
        else:
            assert value[0] == "?", f"{variable} accepts {value!r}"


def test_a_blank_in_a_secret_is_noted_and_kept() -> None:
    secret = "s" * 40 + "\n"
    found = load_settings({"TASKLOOM_SECRET": secret}, env_file=None)
    assert found.auth.secrets == [secret.encode()]
    assert [note.partition(" ")[0] for note in notes(found, env_file=None)] == ["TASKLOOM_SECRET"]


def test_the_env_file_is_read_as_people_write_it(tmp_path: Path) -> None:
    """With the mark that some editors begin it with, and misspelt names."""
    file = tmp_path / ".env"
    file.write_text("TASKLOOM_PORT=8111\nTASKLOOM_PROT=1\nTASKLOOM_DATABASE_URL=x\n", "utf-8-sig")
    found = load_settings(env_file=file)
    assert found.server.port == 8111
    said = " ".join(notes(found, env_file=file))
    assert "did you mean TASKLOOM_PORT?" in said
    assert "did you mean DATABASE_URL?" in said


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
