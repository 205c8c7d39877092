"""The first thing that happens to any text of a client: its size is checked, then it is normalized.

Unicode normalization sorts the combining marks that follow a character. In Python before the
security releases of summer 2026 the sort takes quadratic time: 600 KB of marks take a minute, and
nothing else runs meanwhile. So the length of a text is checked before it is normalized, and a run
of marks is limited as in Unicode's Stream-Safe Text Format (UAX #15), which makes the time linear.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Final, Literal

Form = Literal["NFC", "NFD", "NFKC", "NFKD"]

# UAX #15, section 13. No word of any language has more than a few.
MAX_MARKS: Final = 30
# NFC makes one character of at most this many code points, so that a text with more code points
# than this per allowed character is too long in any spelling. A test computes it.
EXPANSION: Final = 4


@cache
def _marks() -> frozenset[str]:
    """The characters that normalization sorts, or takes apart into such: it must see no long run
    of them.
    """
    # All that Unicode has (917) lie in this range.
    characters = map(chr, range(0x300, 0x1F000))
    return frozenset(c for c in characters if unicodedata.combining(normalized(c, "NFD")[0]))


@cache
def _run() -> re.Pattern[str]:
    return re.compile(f"[{''.join(_marks())}]{{{MAX_MARKS + 1},}}")


def too_many_marks(text: str) -> int | None:
    """Where more than `MAX_MARKS` combining marks follow each other; None if nowhere."""
    if len(text) <= MAX_MARKS or text.isascii():
        return None
    marks, step = _marks(), MAX_MARKS + 1
    # A run that is too long covers one of these places, so that the others need no look.
    for at in range(MAX_MARKS, len(text), step):
        if text[at] in marks:
            found = _run().search(text, at - MAX_MARKS, at + step)
            if found is not None:
                return found.start()
    return None


def normalized(text: str, form: Form = "NFC") -> str:
    """The text in a normal form, in linear time.

    Marks beyond `MAX_MARKS` in a row are dropped; callers that refuse them instead ask
    `too_many_marks` first.
    """
    if text.isascii():
        return text
    if too_many_marks(text) is not None:
        text = _run().sub(lambda run: run[0][:MAX_MARKS], text)
    return unicodedata.normalize(form, text)  # noqa: TID251 - what is banned elsewhere
