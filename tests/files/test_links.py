"""Signed addresses are valid for one method, one path and a few minutes."""

from __future__ import annotations

import datetime as dt
from urllib.parse import parse_qs, urlsplit

import pytest

from files.links import LIFETIME, Links
from settings import Settings

NOW = dt.datetime(2026, 11, 20, 9, 30, 42, tzinfo=dt.UTC)
PATH = "/files/attachment_1"


@pytest.fixture
def links(settings: Settings) -> Links:
    return Links(settings)


def parts(url: str) -> tuple[str, str]:
    query = parse_qs(urlsplit(url).query)
    return query["expires"][0], query["signature"][0]


def test_an_address_is_valid_for_four_to_five_minutes(links: Links) -> None:
    link = links.sign("GET", PATH, NOW)
    expires, signature = parts(link.url)
    assert dt.timedelta(minutes=4) <= link.expires_at - NOW <= LIFETIME
    for moment in (NOW, link.expires_at - dt.timedelta(seconds=1)):
        assert links.allows("GET", PATH, expires, signature, moment)
    for moment in (link.expires_at, NOW + LIFETIME, NOW - dt.timedelta(hours=1)):
        assert not links.allows("GET", PATH, expires, signature, moment)


def test_an_address_stays_the_same_within_a_minute(links: Links) -> None:
    later = NOW + dt.timedelta(seconds=10)
    assert links.sign("GET", PATH, NOW) == links.sign("GET", PATH, later)


def test_no_part_of_an_address_can_be_changed(links: Links, settings: Settings) -> None:
    expires, signature = parts(links.sign("GET", PATH, NOW).url)
    later = str(int(expires) + 60)
    assert not links.allows("PUT", PATH, expires, signature, NOW)
    assert not links.allows("GET", PATH + "0", expires, signature, NOW)
    assert not links.allows("GET", PATH, later, signature, NOW)
    for wrong in ("", "x", signature[:-1], signature + "A", "\u00fc\ud800"):
        assert not links.allows("GET", PATH, expires, wrong, NOW)
    for odd in ("", "-1", "1e9", "9" * 40, "\u0661"):
        assert not links.allows("GET", PATH, odd, signature, NOW)
    auth = settings.auth.model_copy(update={"secret": type(settings.auth.secret)("x" * 40)})
    other = Links(settings.model_copy(update={"auth": auth}))
    assert not other.allows("GET", PATH, expires, signature, NOW)
