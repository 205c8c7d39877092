"""Provide a Chromium for the browser tests: look for one, or install Debian's if that is allowed.

Never fails: without one, those tests are skipped and say so.
"""

from __future__ import annotations

import os
import shutil
import subprocess

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SKIPPED = "Browser tests will be skipped: no Chromium on PATH"


def main() -> None:
    if any(shutil.which(name) for name in NAMES):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"{SKIPPED}, and only root can install one with apt.")
        return
    print("Installing Chromium for the browser tests …")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]
    for command in (install, ["apt-get", "update", "-qq"], install):
        result = subprocess.run(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if command is install and result.returncode == 0:
            return
    print(f"{SKIPPED}, and apt did not install one: {result.stdout.strip()[-300:]}")


if __name__ == "__main__":
    main()
