"""How a job can end, other than done or failed; see `jobs.handlers`."""

from __future__ import annotations

import datetime as dt


class Later(Exception):  # noqa: N818 - it is an order, not an error
    """Run the job again after this time; it was no failed attempt."""

    def __init__(self, after: dt.timedelta, reason: str) -> None:
        super().__init__(reason)
        self.after = after


class GiveUp(Exception):  # noqa: N818 - as above
    """Trying again is of no use; the job is held as failed, with this reason."""
