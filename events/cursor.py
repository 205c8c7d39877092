"""Cursors of the event log: a place in it that a client can keep and come back to.

The log is ordered by `(xid, position)`: the transaction that wrote an event, and the event's number
(see `events.log` for why the number alone would lose events). A cursor names such a place, and the
*epoch* that it belongs to: transaction ids mean something on one PostgreSQL server only, so a
database that was restored elsewhere begins another epoch (`events.epoch`), and cursors of an
earlier one are refused instead of skipping events in silence.

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

# A version, the epoch, and two unsigned 64-bit numbers: 33 bytes, which base64 writes unpadded.
_LAYOUT = struct.Struct(">B16sQQ")
_VERSION = 1

Place = tuple[int, int]
"""`(xid, position)`; compares as the log is ordered."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Just after the event at `(xid, position)`, or at the place where it would stand."""

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
        """The cursor that this text stands for; `BadInput` at `path` where it is none."""
        try:
            packed = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
            version, epoch, xid, position = _LAYOUT.unpack(packed)
        except (UnicodeEncodeError, binascii.Error, struct.error):
            version, epoch, xid, position = 0, b"", 0, 0
        # PostgreSQL's bigint is signed; no position is larger.
        if version != _VERSION or position >= 1 << 63:
            raise BadInput(
                "This is not an event cursor. Take one from `eventCursor`, from `changes` or from "
                "an event.",
                path=path,
            )
        return cls(UUID(bytes=epoch), xid, position)
