"""Which files are taken: a type is found from the bytes, and must be the one that the name says.

The table is short on purpose, and every type in it is told from its bytes by a rule of its own, so
that no browser can be led to see anything else in a file that passed. What a client says of the
type is not looked at.
"""

from __future__ import annotations

import codecs
import re
import struct
import zipfile
from dataclasses import dataclass
from typing import BinaryIO, Final

from errors import ErrorCode, Failure
from files import names


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of file. `image`: thumbnails are made of it."""

    noun: str
    content_type: str
    extensions: tuple[str, ...]
    image: bool = False


JPEG: Final = Kind("a JPEG image", "image/jpeg", (".jpg", ".jpeg"), image=True)
PNG: Final = Kind("a PNG image", "image/png", (".png",), image=True)
GIF: Final = Kind("a GIF image", "image/gif", (".gif",), image=True)
PDF: Final = Kind("a PDF document", "application/pdf", (".pdf",))
TEXT: Final = Kind("plain text", "text/plain", (".txt",))
DOC: Final = Kind("a Word document of the old kind", "application/msword", (".doc",))
DOCX: Final = Kind(
    "a Word document",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    (".docx",),
)
KINDS: Final = (JPEG, PNG, GIF, PDF, TEXT, DOC, DOCX)
ACCEPTED: Final = " ".join(ending for kind in KINDS for ending in kind.extensions)

_BY_EXTENSION: Final = {ending: kind for kind in KINDS for ending in kind.extensions}
_SIGNATURES: Final = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"%PDF-", PDF),
)
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP: Final = b"PK\x03\x04"
# A Word document keeps its text in a stream of this name; a spreadsheet or installer has none.
_WORD_STREAM: Final = "WordDocument".encode("utf-16-le")
# The bytes that the WHATWG's MIME Sniffing Standard says are in no text.
_BINARY: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
# What that standard takes for markup where a text begins with it, and scripts anywhere.
_MARKUP: Final = re.compile(
    rb"\s*<(?:!doctype\s+html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p"
    rb"|svg|\?xml|!--)(?:[\s>]|--)?",
    re.IGNORECASE,
)
_SCRIPT: Final = re.compile(rb"<\s*script[\s/>]", re.IGNORECASE)
_BLOCK: Final = 256 * 1024
_MOST_ENTRIES: Final = 5_000
_MOST_DIRECTORY: Final = 1_000_000


def by_name(name: str) -> Kind:
    """The type that a name claims; `FILE_TYPE_NOT_ALLOWED` where it is none that is taken."""
    kind = _BY_EXTENSION.get(names.extension(name))
    if kind is None:
        raise Failure(
            f"Files of this type are not taken. The name must end with one of {ACCEPTED}.",
            path=("file",),
            code=ErrorCode.FILE_TYPE_NOT_ALLOWED,
        )
    return kind


def verified(name: str, file: BinaryIO) -> Kind:
    """The file's type, by its name and its bytes alike. Reads all of it: not for the event loop.

    Raises `FILE_TYPE_NOT_ALLOWED`, or `FILE_TYPE_MISMATCH` where the two disagree.
    """
    claimed = by_name(name)
    found = _detect(file)
    if found is not claimed:
        what = "something else" if found is None else found.noun
        raise Failure(
            f"The name says that this is {claimed.noun}, but by its bytes it is {what}.",
            path=("file",),
            code=ErrorCode.FILE_TYPE_MISMATCH,
        )
    return claimed


def _detect(file: BinaryIO) -> Kind | None:
    file.seek(0)
    head = file.read(16)
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head.startswith(_OLE):
        return DOC if _contains(file, _WORD_STREAM) else None
    if head.startswith(_ZIP):
        return DOCX if _is_word_package(file) else None
    return TEXT if _is_plain_text(file) else None


def _contains(file: BinaryIO, wanted: bytes) -> bool:
    file.seek(0)
    rest = b""
    while block := file.read(_BLOCK):
        window = rest + block
        if wanted in window:
            return True
        rest = window[-len(wanted) :]
    return False


def _is_word_package(file: BinaryIO) -> bool:
    """An OOXML package with a Word document and without macros; nothing in it is unpacked."""
    if not _few_entries(file):
        return False
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as package:
            members = set(package.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error):
        return False
    required = {"[Content_Types].xml", "word/document.xml"}
    return required <= members and "word/vbaProject.bin" not in members


def _few_entries(file: BinaryIO) -> bool:
    """Whether the directory at the end is short. Reading a hostile one would take a second."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 66_000))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        return False
    entries, length = struct.unpack_from("<HI", tail, at + 10)
    return bool(entries <= _MOST_ENTRIES and length <= _MOST_DIRECTORY)


def _is_plain_text(file: BinaryIO) -> bool:
    """Text in UTF-8, in UTF-16 with its mark, or in an 8-bit encoding; and no markup."""
    file.seek(0)
    first = file.read(2)
    file.seek(0)
    wide = first in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}
    decoder = codecs.getincrementaldecoder("utf-16")() if wide else None
    rest = b""
    ended = False
    while not ended:
        block = file.read(_BLOCK)
        ended = len(block) < _BLOCK
        if decoder is not None:
            try:
                block = decoder.decode(block, final=ended).encode("utf-8", "surrogatepass")
            except UnicodeDecodeError:
                return False
        if _BINARY.search(block):
            return False
        if not rest and _MARKUP.match(block.removeprefix(codecs.BOM_UTF8)):
            return False
        window = rest + block
        if _SCRIPT.search(window):
            return False
        # Long enough for a tag that two blocks share.
        rest = window[-64:]
    return True
