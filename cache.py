"""A cache in the memory of one process that cannot grow without end."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar, overload

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class BoundedCache(Generic[K, V]):
    """The entries that were used last, up to a bound; both reading and setting are use.

    `most` is a number of entries, or of whatever `size` gives for a value (bytes, say) at the time
    when it is set. The entry that was set last stays, however large. `dropped` is called with each
    entry that is pushed out, but not with what `pop` removes.
    """

    def __init__(
        self,
        most: int,
        *,
        size: Callable[[V], int] = lambda _: 1,
        dropped: Callable[[K, V], object] | None = None,
    ) -> None:
        self.used = 0
        self._most = most
        self._size = size
        self._dropped = dropped
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: D) -> V | D: ...
    def get(self, key: K, default: object = None) -> object:
        """The value, which is now the one used last."""
        entry = self._entries.get(key)
        if entry is None:
            return default
        self._entries.move_to_end(key)
        return entry[0]

    def __setitem__(self, key: K, value: V) -> None:
        self.pop(key)
        size = self._size(value)
        self._entries[key] = (value, size)
        self.used += size
        while self.used > self._most and len(self._entries) > 1:
            old, (gone, freed) = self._entries.popitem(last=False)
            self.used -= freed
            if self._dropped is not None:
                self._dropped(old, gone)

    def pop(self, key: K) -> V | None:
        """Remove an entry; its value, if there was one."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        self.used -= entry[1]
        return entry[0]

    def items(self) -> list[tuple[K, V]]:
        """All entries, without using them; the one used last comes last."""
        return [(key, value) for key, (value, _) in self._entries.items()]

    def clear(self) -> None:
        """Remove all entries."""
        self._entries.clear()
        self.used = 0

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)
