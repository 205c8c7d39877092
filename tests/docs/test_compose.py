"""What `compose.yaml` hands to the containers."""

from __future__ import annotations

import re
from pathlib import Path

from settings import load_settings, unknown_variables

COMPOSE = Path(__file__).resolve().parents[2] / "compose.yaml"
HANDED_ON = re.compile(r"^ +([A-Z_]+): (.*)$", re.MULTILINE)


def test_its_settings_exist_and_work_while_they_are_not_given() -> None:
    handed = dict(HANDED_ON.findall(COMPOSE.read_text()))
    assert unknown_variables(handed) == []
    empty = {name: "" for name, value in handed.items() if value == f"${{{name}:-}}"}
    assert load_settings(empty, env_file=None) == load_settings({}, env_file=None)


def test_mail_can_be_set_up() -> None:
    handed = dict(HANDED_ON.findall(COMPOSE.read_text()))
    wanted = {f"TASKLOOM_MAIL_{name}" for name in ("HOST", "PORT", "TLS", "USER", "PASSWORD")}
    assert wanted < set(handed)
