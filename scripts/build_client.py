"""Build the TypeScript client from npm into `clients/typescript/dist`, for its tests.

Exits with 1 and the reason if npm packages cannot be downloaded; the tests are skipped then.
"""

from __future__ import annotations

import sys

from scripts.build_explorer import ROOT, build


def main() -> int:
    print("Building the TypeScript client …")
    return build(ROOT / "clients" / "typescript")


if __name__ == "__main__":
    sys.exit(main())
