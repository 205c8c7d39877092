"""Names of files: cleaned of whatever could be a path or break a header."""

from __future__ import annotations

import unicodedata
from typing import Final

import texts
from errors import ErrorCode, Failure

MOST_CHARACTERS: Final = 255
# With the folders that some programs send before the name. More is refused unread.
_LONGEST_PATH: Final = 4096
# Control characters, formatting ones (which can turn a name around on the screen), surrogates,
# and the separators of lines and paragraphs.
_DROPPED: Final = {"Cc", "Cf", "Cs", "Zl", "Zp"}
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
    name = texts.normalized(name)
    name = "".join(c for c in name if unicodedata.category(c) not in _DROPPED)
    name = name.replace("\\", "/").rpartition("/")[2].translate(_REPLACED).strip(" .")
    if not name:
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
