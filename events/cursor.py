"""Event cursors: positions in the event log that clients keep and resume from.

The log is ordered by `(xid, position)`: the transaction that wrote an event, and the event's number
(`events.log` explains why the number alone would lose events). A cursor contains such a place and
the *epoch* it belongs to: transaction IDs have a meaning on one PostgreSQL server only, so a
database that is restored elsewhere starts a new epoch (`events.epoch`), and older cursors are
rejected instead of silently skipping events.

To clients a cursor is opaque, URL-safe text of 44 characters.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from errors import BadInput

# A version, the epoch, and two unsigned 64-bit numbers: 33 bytes, which need no base64 padding.
_LAYOUT = struct.Struct(">B16sQQ")
_VERSION = 1

Place = tuple[int, int]
"""`(xid, position)`; compares in the order of the log."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place just after the event at `(xid, position)`, whether or not that event exists."""

    epoch: UUID
    xid: int
    position: int

    @property
    def place(self) -> Place:
        """What cursors of one epoch are compared by."""
        return (self.xid, self.position)

    def __str__(self) -> str:
        packed = _LAYOUT.pack(_VERSION, self.epoch.bytes, self.xid, self.position)
        return base64.urlsafe_b64encode(packed).decode()

    @classmethod
    def parse(cls, text: str, path: Sequence[str | int] = ("after",)) -> Cursor:
        """Parse a cursor. Raises `BadInput` at `path` if it is invalid."""
        try:
            packed = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
            version, epoch, xid, position = _LAYOUT.unpack(packed)
        except (UnicodeEncodeError, binascii.Error, struct.error):
            version, epoch, xid, position = 0, b"", 0, 0
        # PostgreSQL's bigint is signed; no position is larger.
        if version != _VERSION or position >= 1 << 63:
            raise BadInput(
                "Invalid event cursor. Use one from `eventCursor`, `events` or an event.",
                path=path,
            )
        return cls(UUID(bytes=epoch), xid, position)
