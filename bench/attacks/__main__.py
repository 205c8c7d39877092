"""`python -m bench.attacks`: hostile operations and texts, and telling by time, on a server and a
database of its own. Exit code 1 if something was answered that must not be.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Final

from bench.attacks.operations import attack_all, tell_by_time
from bench.attacks.texts import attack_with_texts
from bench.target import Failed, served

# Only what counts attempts lets everything pass, or the second attack would find a full bucket.
_LIMITS: Final = (
    "LOGIN_ACCOUNT", "LOGIN_ADDRESS", "REGISTRATION", "ACCOUNT_MAIL", "TASK_CREATION", "UPLOADS"
)  # fmt: skip
_UNLIMITED: Final = dict.fromkeys((f"TASKLOOM_LIMIT_{name}" for name in _LIMITS), "unlimited")


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.attacks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="answers of each series; 0: none")
    parser.add_argument("--only", default="", help="only those whose name has this in it")
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
