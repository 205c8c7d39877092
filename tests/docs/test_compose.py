"""What `compose.yaml` hands to the containers."""

from __future__ import annotations

import re
from pathlib import Path

from settings import load_settings, unknown_variables

COMPOSE = Path(__file__).resolve().parents[2] / "compose.yaml"
HANDED_ON = re.compile(r"^ +([A-Z_]+): (.*)$", re.MULTILINE)
DOCS = COMPOSE.parent / "docs"
# Pages that tell operators what to set.
FOR_OPERATORS = (
    "database",
    "files",
    "mail",
    "push",
    "running",
    "secrets",
    "time",
    "web-application",
)
# The containers have values of their own, or the default is the only one that fits them.
NOT_HANDED_ON = {
    "TASKLOOM_DATA_DIR",
    "TASKLOOM_DB_POOLER",
    "TASKLOOM_DB_POOL_TIMEOUT",
    "TASKLOOM_DB_SCHEMA",
    "TASKLOOM_JOB_CONCURRENCY",
    "TASKLOOM_JOB_LEASE_SECONDS",
    "TASKLOOM_SHUTDOWN_SECONDS",
    "TASKLOOM_SUGGESTIONS",
}


def test_its_settings_exist_and_work_while_they_are_not_given() -> None:
    handed = dict(HANDED_ON.findall(COMPOSE.read_text()))
    assert unknown_variables(handed) == []
    empty = {name: "" for name, value in handed.items() if value == f"${{{name}:-}}"}
    assert load_settings(empty, env_file=None) == load_settings({}, env_file=None)


def test_mail_can_be_set_up() -> None:
    handed = dict(HANDED_ON.findall(COMPOSE.read_text()))
    wanted = {f"TASKLOOM_MAIL_{name}" for name in ("HOST", "PORT", "TLS", "USER", "PASSWORD")}
    assert wanted < set(handed)


def test_what_the_pages_for_operators_name_reaches_the_containers() -> None:
    """A pepper that `docs/secrets.md` says to set and that is dropped locks everybody out."""
    handed = {name for name, _ in HANDED_ON.findall(COMPOSE.read_text())}
    for page in (*FOR_OPERATORS, "deployment/proxies", "guide/persisted-documents"):
        text = (DOCS / f"{page}.md").read_text()
        named = set(re.findall(r"\b(?:TASKLOOM|DATABASE|REDIS)_[A-Z_]*[A-Z]\b", text))
        assert named - NOT_HANDED_ON - handed == set(), page
