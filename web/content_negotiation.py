"""Content negotiation: the form of an answer, by the request's `Accept` header.

Clients list the types they understand in order of preference. The first entry with the highest
weight that the server supports wins. An event stream counts only if it was named itself: `*/*` is
sent by programs that expect one JSON document.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

RESPONSE_JSON: Final = "application/graphql-response+json"
PLAIN_JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"

_WILDCARDS: Final = {"*/*", "application/*"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the client accepts. `json` is None if it accepts no JSON at all."""

    json: str | None
    event_stream: bool = False
    # An event stream is preferred to JSON.
    stream_first: bool = False

    @property
    def error_type(self) -> str:
        """The media type of a refusal; JSON even for clients that did not ask for it."""
        return self.json or PLAIN_JSON

    @property
    def nothing(self) -> bool:
        """Whether the server supports none of the accepted types."""
        return self.json is None and not self.event_stream


@lru_cache(maxsize=256)
def wanted(accept: str | None) -> Wanted:
    """Parse an `Accept` header; None (no header) means plain JSON."""
    if accept is None or not accept.strip():
        return Wanted(PLAIN_JSON)
    entries: list[tuple[str, float, list[str]]] = []
    for entry in accept.split(","):
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        entries.append((name, _weight(parameters), parameters))
    # A type that is named itself with a weight of 0 is not meant by a wildcard.
    excluded = {name for name, weight, _ in entries if weight <= 0}
    meant = next((name for name in (PLAIN_JSON, RESPONSE_JSON) if name not in excluded), None)
    best: dict[str, tuple[float, int]] = {}
    for position, (name, weight, parameters) in enumerate(entries):
        served = meant if name in _WILDCARDS else name
        if served not in {RESPONSE_JSON, PLAIN_JSON, EVENT_STREAM} or weight <= 0:
            continue
        if not _utf8(parameters):
            continue
        rank = (-weight, position)
        if served not in best or rank < best[served]:
            best[served] = rank
    stream = best.pop(EVENT_STREAM, None)
    json = min(best, key=lambda name: best[name], default=None)
    first = stream is not None and (json is None or stream < best[json])
    return Wanted(json, stream is not None, first)


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def _utf8(parameters: list[str]) -> bool:
    """Answers are UTF-8: an entry that demands another encoding does not match."""
    charsets = [parameter[8:].strip('"') for parameter in parameters if parameter[:8] == "charset="]
    return all(charset in {"utf-8", "utf8"} for charset in charsets)
