"""The bounded cache, compared with a list that is searched and truncated."""

from __future__ import annotations

from functools import partial
from random import Random

from cache import BoundedCache


class Listed:
    """The same cache as a plain list of entries, the most recently used at the end."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.entries: list[tuple[int, str]] = []
        self.dropped: list[tuple[int, str]] = []

    def get(self, key: int) -> str | None:
        for entry in self.entries:
            if entry[0] == key:
                self.entries = [one for one in self.entries if one is not entry] + [entry]
                return entry[1]
        return None

    def set(self, key: int, value: str) -> None:
        self.entries = [one for one in self.entries if one[0] != key] + [(key, value)]
        while sum(len(one) for _, one in self.entries) > self.most and len(self.entries) > 1:
            self.dropped.append(self.entries[0])
            self.entries = self.entries[1:]


def _note(seen: list[tuple[int, str]], key: int, value: str) -> None:
    seen.append((key, value))


def test_it_keeps_the_most_recently_used_entries() -> None:
    random = Random(15)
    for most in (0, 1, 7, 30):
        model = Listed(most)
        seen: list[tuple[int, str]] = []
        cache = BoundedCache[int, str](most, size=len, dropped=partial(_note, seen))
        for _ in range(2000):
            key, action = random.randrange(12), random.choice(["get", "set", "set", "pop"])
            if action == "get":
                assert cache.get(key) == model.get(key)
            elif action == "set":
                value = "x" * random.randrange(9)
                cache[key] = value
                model.set(key, value)
            else:
                assert cache.pop(key) == dict(model.entries).get(key)
                model.entries = [one for one in model.entries if one[0] != key]
            assert cache.items() == model.entries
            assert cache.used == sum(len(value) for _, value in model.entries)
            assert seen == model.dropped


def test_none_is_a_valid_value() -> None:
    cache = BoundedCache[str, str | None](2)
    cache["a"] = None
    assert cache.get("a", "default") is None
    assert cache.get("b", "default") == "default"
    assert "a" in cache
    cache["b"], cache["c"] = "1", "2"
    assert "a" not in cache
    cache.clear()
    assert (len(cache), cache.used) == (0, 0)
