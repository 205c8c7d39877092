"""Run import-linter over packages and root modules.

import-linter accepts packages only, and silently ignores folders without `__init__.py`. So it gets
the root modules as packages, by links in a temporary folder, and every Python file must be in a
package that the contracts name.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Nothing in the application imports these; each is checked to have no layer.
OUTSIDE = {"tests", "bench", "migrations", "scripts", "explorer", "clients", "docs", "ops", "build"}


def main() -> int:
    """Exit status: 0 if every arrow points down."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    known = set(config["root_packages"])
    problems = list(_unseen(known))
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


if __name__ == "__main__":
    sys.exit(main())
