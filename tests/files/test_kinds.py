"""Which files are accepted, by name and by content."""

from __future__ import annotations

import io

import pytest

from errors import ErrorCode, Failure
from files import kinds, names
from tests import uploads

TAKEN = [
    ("a.png", uploads.image("PNG"), "image/png"),
    ("a.PNG", uploads.image("PNG"), "image/png"),
    ("a.jpg", uploads.image("JPEG"), "image/jpeg"),
    ("a.jpeg", uploads.image("JPEG"), "image/jpeg"),
    ("a.gif", uploads.image("GIF"), "image/gif"),
    ("a.pdf", uploads.PDF, "application/pdf"),
    ("a.doc", uploads.DOC, "application/msword"),
    ("a.docx", uploads.DOCX, kinds.DOCX.content_type),
    ("a.txt", b"Plain words.\r\n\tAnd more.", "text/plain"),
    ("a.txt", "\ufeffZürich".encode(), "text/plain"),
    ("a.txt", "Zürich".encode("latin-1"), "text/plain"),
    ("a.txt", "Zürich, 東京".encode("utf-16"), "text/plain"),
    ("a.txt", b"x < y and <tag> within words", "text/plain"),
]


@pytest.mark.parametrize(("name", "data", "content_type"), TAKEN)
def test_each_type_is_recognized_by_its_content(name: str, data: bytes, content_type: str) -> None:
    assert kinds.verified(name, io.BytesIO(data)).content_type == content_type


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.pdf", uploads.image("PNG")),
        ("a.png", uploads.image("JPEG")),
        ("a.jpg", uploads.PDF),
        ("a.txt", uploads.PDF),
        ("a.txt", b"<script>alert(1)</script>"),
        ("a.txt", b"Hello\n" + b"x" * 300_000 + b"<SCRIPT src=//evil>"),
        ("a.txt", b"\xef\xbb\xbf  <!DOCTYPE html><p>x"),
        ("a.txt", b"<html><body onload=alert(1)>"),
        ("a.txt", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
        ("a.txt", "<html><script>".encode("utf-16")),
        ("a.txt", b"MZ\x90\x00\x03"),
        ("a.txt", b"\xff\xfe\x00"),
        # Other formats with the same container.
        ("a.docx", uploads.package("[Content_Types].xml", "xl/workbook.xml")),
        (
            "a.docx",
            uploads.package("[Content_Types].xml", "word/document.xml", "word/vbaProject.bin"),
        ),
        ("a.docx", uploads.DOCX[:40]),
        ("a.docx", uploads.package(*(f"{number}" for number in range(5_100)))),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)),
        ("a.doc", uploads.DOCX),
        # Truncated within their first bytes.
        ("a.png", b"\x89PN"),
        ("a.gif", b"GIF8"),
    ],
    # Not by the bytes, since an archive contains the time: names must be equal in all processes.
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_content_that_does_not_match_the_name_is_refused(name: str, data: bytes) -> None:
    with pytest.raises(Failure) as caught:
        kinds.verified(name, io.BytesIO(data))
    assert caught.value.code is ErrorCode.FILE_TYPE_MISMATCH


@pytest.mark.parametrize(
    "name", ["a.html", "a.svg", "a.exe", "a", ".png", "a.png.html", "a.", "passwd"]
)
def test_names_with_other_extensions_are_refused(name: str) -> None:
    with pytest.raises(Failure) as caught:
        kinds.by_name(name)
    assert caught.value.code is ErrorCode.FILE_TYPE_NOT_ALLOWED


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ada\\plan.doc", "plan.doc"),
        ("a\x00b\r\nc.txt", "abc.txt"),
        # Reverses the following text: appears as "invoiceexe.txt".
        ("invoice\u202etxt.exe", "invoicetxt.exe"),
        ("  spaced .txt. ", "spaced .txt"),
        ('say "hi"?.png', "say _hi__.png"),
        ("Zu\u0308rich.png", "Z\u00fcrich.png"),
        ("x" * 300 + ".jpeg", "x" * 250 + ".jpeg"),
    ],
)
def test_names_are_cleaned(name: str, cleaned: str) -> None:
    assert names.clean(name) == cleaned


@pytest.mark.parametrize("name", ["", "   ", "..", "../..", "/", "folder/", "\x00\x01"])
def test_names_that_are_empty_after_cleaning_are_refused(name: str) -> None:
    with pytest.raises(Failure) as caught:
        names.clean(name)
    assert caught.value.code is ErrorCode.FILE_NAME_INVALID
