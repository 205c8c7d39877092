"""What happens to any text of a client first: its size is checked, and it is normalized. And which
characters a text must not contain, and which show nothing.

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

# Categories Cc and Cs.
_CONTROL: Final = "\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff"
# Unicode's property Bidi_Control. Within a name they make it look like another one.
_BIDI: Final = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
CONTROL: Final = re.compile(f"[\t\n{_CONTROL}]")
# What a text of several lines must not contain, and what a name, a title or a tag must not.
FORBIDDEN_IN_LINES: Final = re.compile(f"[{_CONTROL}]")
FORBIDDEN_IN_NAMES: Final = re.compile(f"[\t\n\u2028\u2029{_BIDI}{_CONTROL}]")

# White space, Unicode's property Default_Ignorable_Code_Point, and letters and signs that are blank
# by their definition: Braille's pattern without dots, the musical null notehead, and the blanks
# and format controls of Egyptian hieroglyphs. Joiners and variation selectors are among them, and
# are right within a word or an emoji; a text of nothing else is not.
_BLANK: Final = re.compile(
    r"[\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U00013430-\U00013442"
    r"\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e0fff]*"
)


def is_blank(text: str) -> bool:
    """Whether a text shows nothing to a reader."""
    return _BLANK.fullmatch(text) is not None


def visible(text: str) -> str:
    """The text without white space and whatever else shows nothing."""
    return _BLANK.sub("", text)


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


def without_excess(text: str) -> str:
    """The text without the marks beyond `MAX_MARKS` in a row."""
    if too_many_marks(text) is None:
        return text
    return _run().sub(lambda run: run[0][:MAX_MARKS], text)


def normalized(text: str, form: Form = "NFC") -> str:
    """The text in a normal form, in linear time.

    Marks beyond `MAX_MARKS` in a row are dropped before; callers that refuse them instead ask
    `too_many_marks` first. A few marks are two in the normal form, and are not counted again.
    """
    if text.isascii():
        return text
    return unicodedata.normalize(form, without_excess(text))  # noqa: TID251 - what is banned elsewhere
