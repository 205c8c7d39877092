"""File names, cleaned of everything that could be a path or break a header."""

from __future__ import annotations

from typing import Final

import texts
from errors import ErrorCode, Failure

MOST_CHARACTERS: Final = 255
# With the folders that some programs send before the name. Longer ones are rejected unread.
_LONGEST_PATH: Final = 4096
# Valid within a word or an emoji; at either end of a name they are only invisible.
_JOINERS: Final = "\u200c\u200d"
# Characters that Windows does not allow in names.
_REPLACED: Final = str.maketrans(dict.fromkeys('<>:"|?*', "_"))


def clean(name: str) -> str:
    """The name without folders, control characters and surrounding blanks and dots.

    A long name is cut before its extension. Raises `FILE_NAME_INVALID` if nothing is left.
    """
    if len(name) > _LONGEST_PATH:
        raise Failure(
            f"The file name must have at most {_LONGEST_PATH:,} characters; it has {len(name):,}.",
            path=("file",),
            code=ErrorCode.FILE_NAME_INVALID,
            limit=_LONGEST_PATH,
            actual=len(name),
        )
    name = texts.FORBIDDEN_IN_NAMES.sub("", texts.normalized(name))
    name = name.replace("\\", "/").rpartition("/")[2].translate(_REPLACED)
    name = name.strip(f" .{_JOINERS}")
    if texts.is_blank(name):
        raise Failure(
            "The file needs a name, such as report.pdf.",
            path=("file",),
            code=ErrorCode.FILE_NAME_INVALID,
        )
    if len(name) > MOST_CHARACTERS:
        ending = extension(name)
        name = name[: MOST_CHARACTERS - len(ending)].rstrip(" .") + ending
    return name


def extension(name: str) -> str:
    """The extension in lower case, such as `.pdf`; empty if there is none or it is very long."""
    stem, dot, ending = name.rpartition(".")
    return f".{ending.lower()}" if dot and stem and len(ending) <= 10 else ""
