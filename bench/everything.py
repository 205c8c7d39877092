"""Everything that has a part in `RESULTS.md`: `python -m bench.everything` (or `make bench-all`).

The programs run one after the other, so that they do not disturb each other, for about an hour the
first time. What they print is shown and, unless a program writes its part itself, written down. If
one of them misses a target or fails, the others run all the same.
"""

from __future__ import annotations

import argparse
import datetime as dt
import subprocess
import sys
from typing import Final

from bench import record
from bench.building import ROOT

# The parts of `RESULTS.md`, and the programs that make them; `extras` has a file of its own.
_PROGRAMS: Final = {
    "bench": ("bench.run",),
    "tuned": ("bench.run", "--tuned"),
    "cold": ("bench.cold",),
    "lag": ("bench.lag",),
    "streams": ("bench.streams",),
    "growth": ("bench.growth", "--write"),
    "extras": ("bench.extras",),
}
_WRITE_THEMSELVES: Final = {"bench", "tuned", "growth", "extras"}


def run(part: str) -> bool:
    """Run one program and write its part; returns whether it ended well and met its targets."""
    command = [sys.executable, "-m", *_PROGRAMS[part]]
    print(f"\npython -m {' '.join(_PROGRAMS[part])}", flush=True)
    lines = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if part not in _WRITE_THEMSELVES:
        met = "all targets are met" if process.returncode == 0 else "**not** all targets are met"
        when = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC, code {record.commit()}"
        text = f"{when}; {met}.\n\n```text\n{''.join(lines)}```"
        record.write(part, text)
    return process.returncode == 0


def main() -> int:
    """Run them all, or those that are named; 1 if one of them misses a target or fails."""
    parser = argparse.ArgumentParser(prog="make bench-all", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(_PROGRAMS)}")
    parts = parser.parse_args().parts or [*_PROGRAMS]
    if not set(parts) <= set(_PROGRAMS):
        parser.error(f"the parts are {', '.join(_PROGRAMS)}")
    missed = [part for part in parts if not run(part)]
    if missed:
        print(f"Not met, or failed: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
