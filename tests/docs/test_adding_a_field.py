"""The guide to adding a field, followed to the letter in a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "adding-a-field.md"
# A file, the line above which something goes, and what.
STEP = re.compile(
    r"`([\w/.]+)`,\s+above\s+`([^`\n]+)`:\n\n```\w+\n(.*?)^```", re.DOTALL | re.MULTILINE
)
MIGRATION = re.compile(r'scripts/new_migration\.py "([^"\n]+)"')
TESTS = ["tests/graph/test_every_input_field.py", "tests/graph/engine/test_schema_corpus.py"]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository as it is, without what Git does not keep."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source = ROOT / name
        if source.is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, tmp_path / name)
    return tmp_path


def add(copy: Path, name: str, above: str, text: str) -> None:
    """Do one step of the guide."""
    path = copy / name
    lines = path.read_text().splitlines(keepends=True)
    places = [number for number, line in enumerate(lines) if line.startswith(above)]
    assert len(places) == 1, f"{name} has {len(places)} lines that begin with {above!r}"
    lines.insert(places[0], text)
    path.write_text("".join(lines))


def run(copy: Path, *command: str, fails: bool = False) -> str:
    """What a command prints, in the copy."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_each_step_has_its_place(copy: Path) -> None:
    steps = STEP.findall(GUIDE.read_text())
    for step in steps:
        add(copy, *step)
    assert len(steps) == GUIDE.read_text().count("above\n") + GUIDE.read_text().count("above `")


def test_an_input_without_its_command_does_not_start(copy: Path) -> None:
    for name, above, text in STEP.findall(GUIDE.read_text()):
        if name.endswith("_inputs.py"):
            add(copy, name, above, text)
    said = run(
        copy,
        "-c",
        "import db.models; db.models.Task.effort = db.models.Task.number\nimport graph.schema",
        fails=True,
    )
    assert "NewTaskFields has ['effort'], which NewTask does not have." in said


@pytest.mark.nightly
def test_the_guide_is_true(copy: Path) -> None:
    guide = GUIDE.read_text()
    for step in STEP.findall(guide):
        add(copy, *step)
    (message,) = MIGRATION.findall(guide)
    run(copy, "scripts/new_migration.py", message)
    schema = run(copy, "-m", "cli", "schema")
    (copy / "schema.graphql").write_text(schema)
    assert schema.count("  effort: ") == 8
    run(copy, "-m", "ruff", "check", ".")
    run(copy, "-m", "ruff", "format", "--check", ".")
    run(copy, "-m", "mypy")
    run(copy, "scripts/check_layers.py")
    run(copy, "scripts/check_migrations.py")
    run(copy, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *TESTS)
