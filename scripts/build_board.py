"""Build the board from npm into `clients/board/dist`, as `scripts.build_explorer` does it.

Exits with 1 and the reason if npm packages cannot be downloaded; the server starts without it.
"""

from __future__ import annotations

import sys

from scripts.build_explorer import ROOT, build


def main() -> int:
    print("Building the board …")
    return build(ROOT / "clients" / "board")


if __name__ == "__main__":
    sys.exit(main())
