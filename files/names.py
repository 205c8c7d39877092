"""Names of files: cleaned of whatever could be a path or break a header."""

from __future__ import annotations

from typing import Final

import texts
from errors import ErrorCode, Failure

MOST_CHARACTERS: Final = 255
# With the folders that some programs send before the name. More is refused unread.
_LONGEST_PATH: Final = 4096
# Within a word or an emoji they are right, at either end of a name they only hide.
_JOINERS: Final = "\u200c\u200d"
# What Windows refuses in names.
_REPLACED: Final = str.maketrans(dict.fromkeys('<>:"|?*', "_"))


def clean(name: str) -> str:
    """The name without folders, control characters and surrounding blanks and dots.

    A long one is cut before its extension. `FILE_NAME_INVALID` if nothing is left.
    """
    if len(name) > _LONGEST_PATH:
        raise Failure(
            f"The file's name must have at most {_LONGEST_PATH:,} characters; it has "
            f"{len(name):,}.",
            path=("file",),
            code=ErrorCode.FILE_NAME_INVALID,
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
    """`.pdf`, in lower case; empty where there is none (or what follows the dot is long)."""
    stem, dot, ending = name.rpartition(".")
    return f".{ending.lower()}" if dot and stem and len(ending) <= 10 else ""
