"""`python -m bench.attacks`: hostile operations and texts, and timing attacks, on its own server
and database. Exits with 1 if the server gave a wrong answer.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Final

from bench.attacks.operations import attack_all, tell_by_time
from bench.attacks.texts import attack_with_texts
from bench.target import Failed, served

# Rate limits are off; otherwise the second attack would be refused by a full bucket.
_LIMITS: Final = (
    "LOGIN_ACCOUNT", "LOGIN_ADDRESS", "REGISTRATION", "ACCOUNT_MAIL", "TASK_CREATION", "UPLOADS"
)  # fmt: skip
_UNLIMITED: Final = dict.fromkeys((f"TASKLOOM_LIMIT_{name}" for name in _LIMITS), "unlimited")


def main() -> int:
    """Run the selected attacks."""
    parser = argparse.ArgumentParser(prog="python -m bench.attacks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="answers per series; 0: no timing")
    parser.add_argument("--only", default="", help="only attacks whose name contains this")
    parser.add_argument("--texts", action="store_true", help="only the texts, which take an hour")
    options = parser.parse_args()
    try:
        if options.texts:
            asyncio.run(attack_with_texts(_UNLIMITED, options.only))
            return 0
        with served(_UNLIMITED) as (target, _):
            if options.rounds:
                tell_by_time(target, options.rounds)
            attack_all(target, options.only)
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
