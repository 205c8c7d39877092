"""`schema.graphql`, as the tools of client developers see it: `make schema-checks`.

The linter and the compilers come from npm; without Node.js or npm's packages, the tests are skipped
and say why. `released.graphql` is the schema of the last release: what was removed or changed since
then must be declared under the newest heading of docs/changelog.md, by a line such as

    - Breaking: `Query.changes`. Use `Query.events`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.build_npm import npm_command

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SCHEMA = ROOT / "schema.graphql"
RELEASED = HERE / "released.graphql"
EXAMPLES = sorted((ROOT / "explorer" / "examples").glob("*.graphql"))
OPERATION = re.compile(r"^(?:query|mutation|subscription) (\w+)", re.MULTILINE)
DECLARED = re.compile(r"^- Breaking: `([^`]+)`", re.MULTILINE)


@pytest.fixture(scope="module")
def node() -> Node:
    npm, environment = npm_command()
    if not npm:
        pytest.skip("there is no Node.js, and none can be had")
    lock, installed = HERE / "package-lock.json", HERE / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        command = [*npm, "ci", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"]
        done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"the tools cannot be had from npm: {done.stderr.decode()[-300:]}")
    return Node(environment)


class Node:
    """Runs the programs in this folder, and those that npm installed in it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def run(self, program: str, *arguments: str | Path, cwd: Path = HERE) -> tuple[bool, str]:
        """Whether it succeeded, and what it printed."""
        path = HERE / "node_modules" / ".bin" / program
        command = ["node", HERE / program] if program.endswith(".mjs") else [path]
        done = subprocess.run(
            [*command, *arguments],
            cwd=cwd,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode == 0, done.stdout.strip()


def altered(tmp_path: Path, before: str, after: str) -> Path:
    """The schema with one change in it."""
    text = SCHEMA.read_text()
    assert before in text
    path = tmp_path / "schema.graphql"
    path.write_text(text.replace(before, after, 1))
    return path


def breaking(node: Node, schema: Path) -> list[dict[str, str]]:
    """The changes that break clients, each with its `path` and `message`."""
    ok, printed = node.run("diff.mjs", RELEASED, schema)
    assert ok, printed
    return [json.loads(line) for line in printed.splitlines()]


def undeclared(changes: list[dict[str, str]], changelog: str) -> list[str]:
    """Those of the changes that the changelog lacks, as lines of it."""
    newest = changelog.split("\n## ")[1]
    declared = set(DECLARED.findall(newest))
    return [
        f"- Breaking: `{change['path']}`. {change['message']}"
        for change in changes
        if change["path"] not in declared
    ]


def test_the_linter_has_nothing_to_say(node: Node) -> None:
    assert node.run("lint.mjs", SCHEMA) == (True, "")


def test_the_linter_notices_what_is_wrong(node: Node, tmp_path: Path) -> None:
    wrong = altered(tmp_path, "\ntype Query {", "\ntype Bad_name { a: Int }\n\ntype Query {")
    ok, printed = node.run("lint.mjs", wrong)
    assert ok
    for rule in ("naming-convention", "require-description", "strict-id-in-types"):
        assert rule in printed


def test_relay_compiles(node: Node, tmp_path: Path) -> None:
    shutil.copytree(HERE / "relay", tmp_path, dirs_exist_ok=True)
    shutil.copy(SCHEMA, tmp_path)
    generated = tmp_path / "__generated__"
    generated.mkdir()
    ok, printed = node.run("relay-compiler", "--noWatchman", "relay.config.json", cwd=tmp_path)
    assert ok, printed
    # `@semanticNonNull`: null only with an error, which Relay throws.
    tasks = (generated / "Board_tasks.graphql.ts").read_text()
    assert "readonly totalCount: number;" in tasks
    card = (generated / "Board_card.graphql.ts").read_text()
    assert "readonly dueAt: string | null | undefined;" in card
    assert "readonly version: number;" in card


def test_code_is_generated_for_the_examples(node: Node, tmp_path: Path) -> None:
    ok, printed = node.run("codegen.mjs", SCHEMA, tmp_path, *EXAMPLES)
    assert ok, printed
    generated = (tmp_path / "graphql.ts").read_text()
    names = [name for path in EXAMPLES for name in OPERATION.findall(path.read_text())]
    assert len(names) >= len(EXAMPLES)
    for name in names:
        assert f"export const {name}Document = " in generated
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    options = "--noEmit --strict --target es2022 --module esnext --moduleResolution bundler"
    ok, printed = node.run("tsc", *options.split(), tmp_path / "index.ts", cwd=tmp_path)
    assert ok, printed


def test_what_breaks_clients_is_in_the_changelog(node: Node) -> None:
    changelog = (ROOT / "docs" / "changelog.md").read_text()
    assert undeclared(breaking(node, SCHEMA), changelog) == []


def test_a_removed_field_must_be_declared(node: Node, tmp_path: Path) -> None:
    removed = breaking(node, altered(tmp_path, "  dueAt: DateTime\n", "  deadline: DateTime\n"))
    nothing = "# Changelog\n\n## 9.9.9\n\nNothing.\n\n## 0.1.0\n\n"
    (line,) = undeclared(removed, nothing)
    assert re.match(r"- Breaking: `\w+\.dueAt`\. ", line)
    assert undeclared(removed, nothing.replace("Nothing.", line)) == []
    # A line of an earlier version says nothing about this one.
    assert undeclared(removed, f"{nothing}{line}\n") == [line]
