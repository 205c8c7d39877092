"""The guides to adding a field and a noun, followed to the letter in a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIELD = (ROOT / "docs" / "adding-a-field.md").read_text()
NOUN = (ROOT / "docs" / "adding-a-noun.md").read_text()
# A file, the line above which something goes (none: the file is new), and what.
STEP = re.compile(
    r"(?:`([\w/.]+)`,\s+above\s+`([^`\n]+)`|[Nn]ew file \*\*([\w/.]+)\*\*)"
    r":\n\n```\w+\n(.*?)^```",
    re.DOTALL | re.MULTILINE,
)
CODE = re.compile(r"^```(?:python|graphql|sql)$", re.MULTILINE)
TESTS = re.compile(r'^make test ARGS="(.*)"$', re.MULTILINE)
MIGRATION = re.compile(r'scripts/new_migration\.py "([^"\n]+)"')


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository as it is, without what Git does not keep, and already compiled."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source = ROOT / name
        compiled = Path(cache_from_source(name)) if source.suffix == ".py" else source
        for each in {source, ROOT / compiled}:
            if each.is_file():
                place = tmp_path / each.relative_to(ROOT)
                place.parent.mkdir(parents=True, exist_ok=True)
                # With its time, by which Python knows that it is what was compiled.
                shutil.copy2(each, place)
    return tmp_path


def follow(copy: Path, guide: str, ending: str = "") -> None:
    """Do the steps of a guide, or those on files whose names end so."""
    steps = STEP.findall(guide)
    assert len(steps) == len(CODE.findall(guide)), "each piece of code has its place"
    for name, above, new, text in steps:
        if new.endswith(ending) and new:
            (copy / new).write_text(text)
        elif name.endswith(ending) and name:
            add(copy / name, above, text)


def add(path: Path, above: str, text: str) -> None:
    """Insert lines above the one that begins so."""
    lines = path.read_text().splitlines(keepends=True)
    places = [number for number, line in enumerate(lines) if line.startswith(above)]
    assert len(places) == 1, f"{path} has {len(places)} lines that begin with {above!r}"
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


@pytest.mark.parametrize("guide", [FIELD, NOUN], ids=["field", "noun"])
def test_each_step_has_its_place(copy: Path, guide: str) -> None:
    follow(copy, guide)


def test_an_input_without_its_command_does_not_start(copy: Path) -> None:
    follow(copy, FIELD, "models/task.py")
    follow(copy, FIELD, "_inputs.py")
    said = run(copy, "-c", "import graph.schema", fails=True)
    assert "TaskCreateInput has ['effort'], which NewTask does not have." in said


def test_a_noun_without_scopes_does_not_start(copy: Path) -> None:
    follow(copy, NOUN, "")
    kept = ROOT / "graph" / "request" / "scope_table.py"
    (copy / kept.relative_to(ROOT)).write_text(kept.read_text())
    said = run(copy, "-c", "import graph.schema", fails=True)
    for missing in ("Milestone declares no scope", "query milestones declares no scope"):
        assert missing in said


def test_the_migration_comes_after_all_others(copy: Path) -> None:
    folder = copy / "migrations" / "versions"
    before = {path.name for path in folder.glob("*.py")}
    follow(copy, FIELD, "models/task.py")
    (message,) = MIGRATION.findall(FIELD)
    run(copy, "scripts/new_migration.py", message)
    (written,) = {path.name for path in folder.glob("*.py")} - before
    assert written[:4] > max(name[:4] for name in before)
    run(copy, "scripts/check_migrations.py")


@pytest.mark.nightly
@pytest.mark.parametrize("guide", [FIELD, NOUN], ids=["field", "noun"])
def test_the_guide_is_true(copy: Path, guide: str) -> None:
    follow(copy, guide)
    (message,), (tests,) = MIGRATION.findall(guide), TESTS.findall(guide)
    run(copy, "scripts/new_migration.py", message)
    if "ruff format ." in guide:
        run(copy, "-m", "ruff", "format", ".")
    (copy / "schema.graphql").write_text(run(copy, "-m", "cli", "schema"))
    run(copy, "-m", "ruff", "check", ".")
    run(copy, "-m", "ruff", "format", "--check", ".")
    run(copy, "-m", "mypy")
    run(copy, "scripts/check_layers.py")
    run(copy, "scripts/check_migrations.py")
    run(copy, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", *tests.split())
