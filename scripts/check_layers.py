"""Run import-linter over packages and root modules, and look for imports inside functions.

import-linter accepts packages only, and silently ignores folders without `__init__.py`. So it gets
the root modules as packages, by links in a temporary folder, and every Python file must be in a
package that the contracts name. An import inside a function hides a cycle, so those of our own
modules are listed here, each with its reason.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Nothing in the application imports these; each is checked to have no layer.
OUTSIDE = {"tests", "bench", "migrations", "scripts", "explorer", "clients", "docs", "ops", "build"}
# Files and packages that may import our own modules inside functions, and why.
_NO_SCHEMA = "the worker loads the schema with the first webhook, export or message"
LOCAL_IMPORTS = {
    "app.py": "a test that brings a schema of its own does not wait for ours to be built",
    "cli": "a command loads only what it needs",
    "jobs/connectors/slack.py": _NO_SCHEMA,
    "jobs/exports.py": _NO_SCHEMA,
    "jobs/graph.py": _NO_SCHEMA,
    "jobs/integrations.py": _NO_SCHEMA,
    "jobs/push/services.py": "services that are not configured are not loaded",
    "jobs/webhooks.py": _NO_SCHEMA,
    "telemetry/start.py": "OpenTelemetry is loaded only if something is exported",
    "web/health.py": "Alembic is loaded only if migrations are pending",
}


def main() -> int:
    """Exit status: 0 if every arrow points down."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    known = set(config["root_packages"])
    problems = [*_unseen(known), *_local_imports(known)]
    if problems:
        print("\n".join(problems))
        return 1
    with tempfile.TemporaryDirectory() as folder:
        for name in known:
            package, module = ROOT / name, ROOT / f"{name}.py"
            if package.is_dir():
                (Path(folder) / name).symlink_to(package)
            elif module.exists():
                (Path(folder) / name).mkdir()
                (Path(folder) / name / "__init__.py").symlink_to(module)
            else:
                print(f"{name} is a root package of the contracts and does not exist")
                return 1
        # A process of its own, which sees only the links under these names.
        check = "import sys; from importlinter.cli import lint_imports_command as c; c()"
        command = [sys.executable, "-c", check, "--config", str(ROOT / "pyproject.toml")]
        environment = {**os.environ, "PYTHONPATH": folder}
        result = subprocess.run(
            [*command, "--no-cache"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    # Its last line counts the contracts; the rest matters if one is broken.
    print(result.stdout if result.returncode else result.stdout.strip().splitlines()[-1])
    return result.returncode


def _unseen(known: set[str]) -> list[str]:
    """A sentence for each Python file that the contracts would not see."""
    problems = []
    for entry in sorted(ROOT.iterdir()):
        name = entry.stem if entry.suffix == ".py" else entry.name
        if name.startswith(".") or name in OUTSIDE or name.endswith(".egg-info"):
            continue
        files = [entry] if entry.suffix == ".py" else sorted(entry.rglob("*.py"))
        if files and name not in known:
            problems.append(f"{name} is in no layer; add it to [tool.importlinter]")
        folders = {file.parent for file in files} if entry.is_dir() else set()
        problems += [
            f"{folder.relative_to(ROOT)} has Python files and no __init__.py"
            for folder in sorted(folders)
            if not (folder / "__init__.py").exists()
        ]
    return problems


def _local_imports(known: set[str]) -> list[str]:
    """A sentence for each import of our own modules inside a function of any other file."""
    problems, used = [], set()
    for name in sorted(known | {"bench", "scripts"}):
        entry = ROOT / name
        for file in sorted(entry.rglob("*.py")) if entry.is_dir() else [entry.with_suffix(".py")]:
            place = file.relative_to(ROOT).as_posix()
            for line in _lines_of_local_imports(file, known | {"bench"}):
                used.add(allowed := name if name in LOCAL_IMPORTS else place)
                if allowed not in LOCAL_IMPORTS:
                    problems.append(f"{place}:{line} imports a module of ours inside a function")
    return problems + [
        f"{place} has no such import; take it out of LOCAL_IMPORTS"
        for place in sorted(LOCAL_IMPORTS.keys() - used)
    ]


def _lines_of_local_imports(file: Path, ours: set[str]) -> set[int]:
    found = set()
    for function in ast.walk(ast.parse(file.read_text())):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            if any(name.partition(".")[0] in ours for name in names):
                found.add(node.lineno)
    return found


if __name__ == "__main__":
    sys.exit(main())
