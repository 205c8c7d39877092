"""Create the environment, and install the packages of lock files into it.

    python scripts/install.py                        creates .venv, with the pip of its lock file
    .venv/bin/python scripts/install.py FILE …       installs what these lock files name
    .venv/bin/python scripts/install.py FILE . …     and the project itself, in place

Half of what pip does is waiting for the index, one package after the other. Lock files name
everything, so that nothing is to be chosen, and several pips can share the work.
"""

from __future__ import annotations

import ensurepip
import re
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections import defaultdict
from pathlib import Path

ENVIRONMENT = Path(".venv")
PIPS = 3

# Python compiles what it imports as it runs; compiling all packages would take seconds.
_INSTALL = ("--disable-pip-version-check", "install", "--quiet", "--no-compile")
_LOCKED = (*_INSTALL, "--require-hashes", "--no-deps")
# Offline: the lock file of pip has the tool that builds the project.
_IN_PLACE = (*_INSTALL, "--no-deps", "--no-build-isolation", "--no-index", "--editable", ".")


def create() -> None:
    """Create the environment. Its pip is a new one: that of Python 3.11 spends ten seconds on
    choosing files. Python's own only installs it, from its archive, where that is found.
    """
    archive = _bundled_pip()
    venv.create(ENVIRONMENT, symlinks=True, with_pip=archive is None)
    pip = ("-m", "pip") if archive is None else (str(archive / "pip"),)
    subprocess.run(
        [ENVIRONMENT / "bin" / "python", *pip, *_LOCKED, "-r", "requirements-pip.lock"], check=True
    )


def _bundled_pip() -> Path | None:
    """The archive from which `ensurepip` would install pip, which takes it four seconds."""
    # Distributions keep such archives in a folder of theirs.
    own = sysconfig.get_config_var("WHEEL_PKG_DIR")
    folders = [Path(own)] if own else []
    folders.append(Path(ensurepip.__file__).parent / "_bundled")
    return next((found for folder in folders for found in folder.glob("pip-*.whl")), None)


def install(files: list[Path], *, project: bool) -> bool:
    """Install the packages of lock files, and the project. Returns whether all went well."""
    with tempfile.TemporaryDirectory() as folder:
        runs: list[tuple[str, ...]] = [_IN_PLACE] if project else []
        for number, packages in enumerate(_shared_out(files)):
            part = Path(folder, f"{number}.lock")
            part.write_text("".join(packages), encoding="utf-8")
            runs.append((*_LOCKED, "-r", str(part)))
        pips = [subprocess.Popen([sys.executable, "-m", "pip", *run]) for run in runs]
        return sum(pip.wait() != 0 for pip in pips) == 0


def _shared_out(files: list[Path]) -> list[list[str]]:
    """The entries of lock files, in parts of about the same size.

    Packages whose names begin with the same word stay together: they may share a folder.
    """
    families: dict[str, list[str]] = defaultdict(list)
    for file in files:
        for entry in re.findall(r"^\w.*(?:\n .*)*\n?", file.read_text("utf-8"), re.MULTILINE):
            families[re.split(r"[-=]", entry, maxsplit=1)[0]].append(entry)
    parts: list[list[str]] = [[] for _ in range(PIPS)]
    for family in sorted(families.values(), key=len, reverse=True):
        min(parts, key=len).extend(family)
    return [part for part in parts if part]


if __name__ == "__main__":
    given = sys.argv[1:]
    if not given:
        create()
    elif not install([Path(one) for one in given if one != "."], project="." in given):
        sys.exit("Not everything could be installed: see above.")
