"""The accepted types of files: the content decides, and must match the extension.

The list is short on purpose, and every type is detected by a rule of its own, so that no browser
can take an accepted file for anything else. The type that a client sends is ignored.
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
    """A type of file. `image`: it gets a thumbnail."""

    noun: str
    content_type: str
    extensions: tuple[str, ...]
    image: bool = False


JPEG: Final = Kind("a JPEG image", "image/jpeg", (".jpg", ".jpeg"), image=True)
PNG: Final = Kind("a PNG image", "image/png", (".png",), image=True)
GIF: Final = Kind("a GIF image", "image/gif", (".gif",), image=True)
PDF: Final = Kind("a PDF document", "application/pdf", (".pdf",))
TEXT: Final = Kind("plain text", "text/plain", (".txt",))
DOC: Final = Kind("a legacy Word document", "application/msword", (".doc",))
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
# A Word document has its text in a stream of this name; spreadsheets and installers have none.
_WORD_STREAM: Final = "WordDocument".encode("utf-16-le")
# Bytes that the WHATWG MIME Sniffing Standard says no text contains.
_BINARY: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
# What that standard treats as markup at the start of a text, and scripts anywhere.
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
    """The type that a name claims. Raises `FILE_TYPE_NOT_ALLOWED` if it is not accepted."""
    kind = _BY_EXTENSION.get(names.extension(name))
    if kind is None:
        raise Failure(
            f"This file type is not accepted. The name must end with one of {ACCEPTED}.",
            path=("file",),
            code=ErrorCode.FILE_TYPE_NOT_ALLOWED,
        )
    return kind


def verified(name: str, file: BinaryIO) -> Kind:
    """The file's type, by its name and its content. Reads all of it: do not call it in the event
    loop.

    Raises `FILE_TYPE_NOT_ALLOWED`, or `FILE_TYPE_MISMATCH` if the two differ.
    """
    claimed = by_name(name)
    found = _detect(file)
    if found is not claimed:
        what = "something else" if found is None else found.noun
        raise Failure(
            f"The file's content does not match its extension: it should be {claimed.noun}, but "
            f"it is {what}.",
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
    """Whether it is an OOXML package with a Word document and without macros; nothing is
    decompressed.
    """
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
    """Whether the directory at the end is short. Reading a malicious one would take a second."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 66_000))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        return False
    entries, length = struct.unpack_from("<HI", tail, at + 10)
    return bool(entries <= _MOST_ENTRIES and length <= _MOST_DIRECTORY)


def _is_plain_text(file: BinaryIO) -> bool:
    """Whether it is text in UTF-8, in UTF-16 with a byte order mark, or in an 8-bit encoding,
    without markup.
    """
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
        # Long enough for a tag that spans two blocks.
        rest = window[-64:]
    return True
