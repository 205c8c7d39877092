"""Insert small faults into the code, one at a time, and print those that no test notices.

    make mutants                                  30 faults, different ones each day
    make mutants ARGS="--seed 7 --count 5 web"    five others, in web/ alone
    make mutants ARGS="--suite"                   survivors meet the whole suite too (slow)

A fault is a boundary moved by one, a condition negated or shortened, a call or a lock left out.
Each is put into a copy of the repository in a temporary folder, and the tests that belong to the
file are run there: those that import the module, and those named like it or like a module that
imports it. A survivor shows a missing test, or changes nothing observable.

docs/development.md explains why it is neither mutmut nor cosmic-ray.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import datetime as dt
import difflib
import os
import py_compile
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
AREAS = ("auth", "domain", "events", "graph", "jobs", "web")
# The tests of one file, without a fault, take up to two minutes on a small machine.
_SECONDS = 300
_SUITE = 1800
_MOST_TEST_FILES = 4

_PAIRS: tuple[tuple[type[ast.cmpop], type[ast.cmpop]], ...] = (
    (ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq), (ast.Is, ast.IsNot),
    (ast.In, ast.NotIn),
)  # fmt: skip
_COMPARED = dict([*_PAIRS, *(pair[::-1] for pair in _PAIRS)])
# Calls whose arguments are conditions, and calls on a statement that are left out.
_CONDITIONS = {"where", "and_", "or_", "filter"}
_LEFT_OUT = {"with_for_update", "limit", "distinct"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A file (from the root), a position in its tree, and the replacement."""

    path: str
    place: ast.expr | ast.stmt
    new: ast.AST

    @property
    def source(self) -> str:
        """The whole file, with the fault."""
        data = (ROOT / self.path).read_bytes()
        lines = data.splitlines(keepends=True)

        def at(line: int, column: int) -> int:
            return sum(map(len, lines[: line - 1])) + column

        text = ast.unparse(ast.fix_missing_locations(self.new))
        if isinstance(self.new, ast.expr):
            text = f"({text})"
        begin = at(self.place.lineno, self.place.col_offset)
        end = at(self.place.end_lineno or 0, self.place.end_col_offset or 0)
        return (data[:begin] + text.encode() + data[end:]).decode()

    @property
    def diff(self) -> str:
        """What was changed."""
        before = (ROOT / self.path).read_text().splitlines()
        lines = difflib.unified_diff(before, self.source.splitlines(), n=1, lineterm="")
        return "\n".join(list(lines)[2:])


# --- faults --------------------------------------------------------------------------------------


def changes(node: ast.AST) -> Iterator[tuple[Any, ast.AST]]:
    """The replacements for this node, or for a part of it: each with one fault."""
    match node:
        case ast.Compare(ops=[op], left=left, comparators=others) if type(op) in _COMPARED:
            yield node, ast.Compare(left, [_COMPARED[type(op)]()], others)
        case ast.BoolOp(op=op, values=values):
            for index in range(len(values)):
                rest = values[:index] + values[index + 1 :]
                yield node, rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield node, operand
        case ast.Constant(value=bool(value)):
            yield node, ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield node, ast.Constant(value + 1)
        case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in _LEFT_OUT:
            yield node, value
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args) if (
            name in _CONDITIONS and len(args) > 1
        ):
            for index in range(len(args)):
                yield node, ast.Call(node.func, args[:index] + args[index + 1 :], node.keywords)
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.Raise(exc=ast.AST()) | ast.AugAssign():
            yield node, ast.Pass()
    test = getattr(node, "test", None)
    if isinstance(test, ast.Name | ast.Attribute | ast.Call | ast.Await | ast.BoolOp):
        yield test, ast.UnaryOp(ast.Not(), test)


def _uninteresting(node: ast.AST) -> bool:
    match node:
        case ast.JoinedStr() | ast.Import() | ast.ImportFrom() | ast.AnnAssign(value=None):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="log")))):
            return True
    return False


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(tree):
        if name in {"annotation", "returns", "decorator_list", "bases"}:
            continue
        for node in value if isinstance(value, list) else [value]:
            if isinstance(node, ast.AST) and not _uninteresting(node):
                yield node
                yield from _nodes(node)


def mutants_of(path: str) -> list[Mutant]:
    """All faults of one file."""
    tree = ast.parse((ROOT / path).read_text())
    return [Mutant(path, *change) for node in _nodes(tree) for change in changes(node)]


# --- tests ---------------------------------------------------------------------------------------


def _imports(path: Path) -> set[str]:
    """The modules that a file imports, as paths without an extension."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name.replace(".", "/") for name in found}


def _words(stem: str) -> set[str]:
    return {word.rstrip("s") for word in stem.removeprefix("test_").split("_")}


class Tests:
    """The tests that belong to a file."""

    def __init__(self) -> None:
        paths = [Path(name) for name in _tracked() if name.endswith(".py")]
        self._imports = {path: _imports(ROOT / path) for path in paths}
        self._tests = [path for path in paths if path.name.startswith("test_")]

    def of(self, name: str) -> list[str]:
        """The test files, best matches first."""
        path = Path(name.replace("/__init__.py", ".py"))
        module, area = str(path.with_suffix("")), path.parts[0]
        named = [_words(other.stem) for other, imported in self._imports.items()
                 if module in imported and other.parts[0] in AREAS]  # fmt: skip
        scores: Counter[Path] = Counter()
        for test in self._tests:
            words = _words(test.stem)
            alike = len(words & _words(path.stem)) + (path.stem in test.parts)
            scores[test] += 6 * (module in self._imports[test])
            scores[test] += 4 * alike * (test.parts[1] in {area, "graph", path.stem})
            scores[test] += 2 * any(words <= other for other in named)
        found = [str(test) for test, score in scores.most_common(_MOST_TEST_FILES) if score]
        return found or [f"tests/{area}"]


def _tracked() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in names.splitlines() if (ROOT / name).is_file()]


class Tree:
    """A copy of the repository, in which faults are tried."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in _tracked():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
        # By the hash of the source, since a fault can keep the file's size and second.
        compileall.compile_dir(
            folder, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH
        )

    def notice(self, mutant: Mutant, tests: list[str], *options: str, **limit: float) -> str | None:
        """The test that fails with this fault, "timeout", or None if it survives."""
        path = self._folder / mutant.path
        path.write_text(mutant.source)
        try:
            return self.failing(tests, *options, **limit)
        finally:
            shutil.copy2(ROOT / mutant.path, path)

    def failing(self, tests: list[str], *options: str, seconds: float = _SECONDS) -> str | None:
        """The first test that fails, "timeout" if they take too long, or None."""
        own = {"PYTHONPATH": str(self._folder), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", "-xq", "--tb=no", "-rfE", "-pno:cacheprovider"]
        try:
            # Killed if it takes too long; its servers notice and stop by themselves.
            done = subprocess.run(
                [*command, *options, *tests], cwd=self._folder, env={**os.environ, **own},
                timeout=seconds, check=False, capture_output=True, text=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return "timeout"
        if done.returncode == 0:
            return None
        named = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
        return named[1] if named else "the tests could not be run"


# --- a run ---------------------------------------------------------------------------------------


def main() -> int:
    """Exit status: 1 if a fault survives."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("areas", nargs="*", default=AREAS, help="folders or files")
    parser.add_argument("--count", type=int, default=30, help="faults to draw")
    parser.add_argument("--seed", type=int, default=dt.datetime.now(dt.UTC).toordinal())
    parser.add_argument("--minutes", type=float, default=90, help="none is begun after these")
    parser.add_argument("--suite", action="store_true", help="try survivors on the whole suite")
    wanted = parser.parse_args()
    end = time.monotonic() + wanted.minutes * 60
    prefixes = tuple(area if area.endswith(".py") else f"{area}/" for area in wanted.areas)
    files = [name for name in _tracked() if name.startswith(prefixes) and name.endswith(".py")]
    found = [mutant for name in sorted(files) for mutant in mutants_of(name)]
    chance = random.Random(wanted.seed)  # noqa: S311 - nothing is secret about it
    drawn = chance.sample(found, min(wanted.count, len(found)))
    print(f"{len(drawn)} of {len(found):,} faults, seed {wanted.seed}", flush=True)
    tests, survivors, noticed = Tests(), 0, set()
    with tempfile.TemporaryDirectory(prefix="taskloom-mutants-") as folder:
        tree = Tree(Path(folder))
        for number, mutant in enumerate(drawn):
            if time.monotonic() > end:
                print(f"Time is up; {len(drawn) - number} were not tried.")
                break
            belonging = tests.of(mutant.path)
            by = tree.notice(mutant, belonging)
            if by is None and wanted.suite:
                by = tree.notice(mutant, [], "-n", "auto", "--dist", "loadfile", seconds=_SUITE)
            place = f"{mutant.path}:{mutant.place.lineno}"
            if by is None:
                survivors += 1
                print(f"SURVIVED {place}\n{mutant.diff}\n  by {' '.join(belonging)}", flush=True)
            else:
                noticed.add(by.partition("[")[0])
                print(f"noticed  {place} by {by}", flush=True)
        # A test that fails without any fault notices nothing.
        named = sorted(name for name in noticed if "::" in name)
        always = tree.failing(named) if named else None
    print(f"{survivors} survived, seed {wanted.seed}")
    if always is not None:
        print(f"Beware: {always} fails without a fault, so what it noticed counts for nothing.")
    return 1 if survivors or always else 0


if __name__ == "__main__":
    sys.exit(main())
