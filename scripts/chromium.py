"""Provide a Chromium for the browser tests: Debian's shell without windows, which is the fastest,
if it is there or may be installed; else any other.

Never fails: without one, those tests are skipped and say so.
"""

from __future__ import annotations

import os
import shutil
import subprocess

SHELL = "chromium-headless-shell"
NAMES = ("chromium", "chromium-browser")
SKIPPED = "Browser tests will be skipped: no Chromium on PATH"


def main() -> None:
    if shutil.which(SHELL):
        return
    other = any(shutil.which(name) for name in NAMES)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        if not other:
            print(f"{SKIPPED}, and only root can install one with apt.")
        return
    print("Installing Chromium for the browser tests …")
    if _succeeds("install", SHELL) or other:
        return
    # The lists of packages may be old, or missing.
    _succeeds("update")
    # Not every system has the shell as a package of its own.
    if not _succeeds("install", SHELL) and not _succeeds("install", "chromium"):
        print(f"{SKIPPED}, and apt did not install one.")


def _succeeds(*arguments: str) -> bool:
    options = ("-y", "-qq", "--no-install-recommends")
    result = subprocess.run(
        ["apt-get", *arguments[:1], *options, *arguments[1:]],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return result.returncode == 0


if __name__ == "__main__":
    main()
