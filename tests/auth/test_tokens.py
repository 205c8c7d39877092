"""Tokens that are not exactly ours are refused, each with its reason."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any
from uuid import uuid4

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.tokens import REFRESH_PREFIX, Tokens
from errors import Unauthenticated
from settings import load_settings

NOW = dt.datetime(2026, 11, 20, 9, 30, tzinfo=dt.UTC)
USER, SESSION = uuid4(), uuid4()


def make(**variables: str) -> Tokens:
    return Tokens(load_settings(variables, env_file=None))


tokens = make()


def forged(
    change_header: dict[str, Any] | None = None,
    change_claims: dict[str, Any] | None = None,
    *,
    key: bytes | None = None,
    algorithm: str = "HS256",
) -> str:
    """A token like ours, signed with our key, except for the changes; None removes a field."""
    ours = jwt.decode_complete(
        tokens.mint_access(USER, SESSION, NOW).token, options={"verify_signature": False}
    )

    def changed(old: dict[str, Any], changes: dict[str, Any] | None) -> dict[str, Any]:
        return {k: v for k, v in (old | (changes or {})).items() if v is not None}

    return jwt.encode(
        changed(ours["payload"], change_claims),
        tokens._access.present.key if key is None else key,
        algorithm,
        changed(ours["header"], change_header) | {"alg": algorithm},
    )


def test_an_access_token_contains_its_user_and_expiry() -> None:
    minted = tokens.mint_access(USER, SESSION, NOW)
    claims = tokens.verify_access(minted.token, NOW)
    assert (claims.user_id, claims.session_id) == (USER, SESSION)
    assert claims.expires_at == minted.expires_at == NOW + dt.timedelta(minutes=15)


def test_its_header_and_claims_are_those_of_rfc_9068() -> None:
    token = tokens.mint_access(USER, SESSION, NOW).token
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert header["typ"] == "at+jwt"
    assert header["alg"] == "HS256"
    assert header["kid"]
    assert set(claims) == {"iss", "aud", "sub", "sid", "jti", "iat", "exp"}
    assert claims["aud"] == "taskloom"
    other = jwt.decode(
        tokens.mint_access(USER, SESSION, NOW).token, options={"verify_signature": False}
    )
    assert other["jti"] != claims["jti"]


def test_the_same_token_unchanged_passes() -> None:
    """Shows that the refusals below are caused by what they changed."""
    assert tokens.verify_access(forged(), NOW).user_id == USER


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"change_claims": {"aud": "taskloom-stream"}}, "not valid here"),
        ({"change_claims": {"aud": ["taskloom", "other"]}}, "not valid here"),
        ({"change_claims": {"iss": "https://elsewhere.example"}}, "not valid here"),
        ({"change_claims": {"jti": None}}, "not valid here"),
        ({"change_claims": {"sid": None}}, "not valid here"),
        ({"change_claims": {"exp": None}}, "not valid here"),
        ({"change_claims": {"exp": "soon"}}, "not valid here"),
        ({"change_claims": {"sub": "root"}}, "contains no session"),
        ({"change_claims": {"sid": 7}}, "contains no session"),
        ({"change_claims": {"iat": int(NOW.timestamp()) + 3600}}, "future"),
        ({"change_header": {"typ": "JWT"}}, "different type"),
        ({"change_header": {"typ": "stream+jwt"}}, "different type"),
        ({"change_header": {"kid": "0" * 16}}, "different key"),
        ({"key": b"k" * 32}, "not valid here"),
        ({"algorithm": "HS512", "key": b"k" * 64}, "different type"),
    ],
)
def test_forged_tokens_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unauthenticated, match=reason):
        tokens.verify_access(forged(**changes), NOW)


def _segment(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_the_algorithm_none_is_refused() -> None:
    header, claims, _ = tokens.mint_access(USER, SESSION, NOW).token.split(".")
    kid = jwt.get_unverified_header(f"{header}.{claims}.")["kid"]
    for algorithm in ("none", "None", "NONE"):
        unsigned = _segment({"alg": algorithm, "typ": "at+jwt", "kid": kid})
        for signature in ("", "AAAA"):
            with pytest.raises(Unauthenticated):
                tokens.verify_access(f"{unsigned}.{claims}.{signature}", NOW)


def test_a_changed_claim_breaks_the_signature() -> None:
    header, claims, signature = tokens.mint_access(USER, SESSION, NOW).token.split(".")
    body = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    body["sub"] = uuid4().hex
    with pytest.raises(Unauthenticated):
        tokens.verify_access(f"{header}.{_segment(body)}.{signature}", NOW)


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "....", "é.é.é", "x" * 100_000, "e30.e30.e30"])
def test_a_text_that_is_not_a_token_is_refused(text: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens.verify_access(text, NOW)


def test_an_expired_token_says_so_and_what_to_do() -> None:
    minted = tokens.mint_access(USER, SESSION, NOW)
    just_before = minted.expires_at - dt.timedelta(microseconds=1)
    tokens.verify_access(minted.token, just_before)
    with pytest.raises(Unauthenticated, match=r"expired.*sessionRefresh"):
        tokens.verify_access(minted.token, minted.expires_at)


def test_the_token_of_another_server_is_refused() -> None:
    other = make(TASKLOOM_SECRET="another secret of thirty-two characters")
    with pytest.raises(Unauthenticated, match="different key"):
        tokens.verify_access(other.mint_access(USER, SESSION, NOW).token, NOW)
    elsewhere = make(TASKLOOM_PUBLIC_URL="https://elsewhere.example")
    with pytest.raises(Unauthenticated, match="issuer"):
        tokens.verify_access(elsewhere.mint_access(USER, SESSION, NOW).token, NOW)


def test_a_stream_token_opens_streams_only_and_only_for_a_minute() -> None:
    until = NOW + dt.timedelta(minutes=9)
    minted = tokens.mint_stream(USER, SESSION, until, NOW)
    assert minted.expires_at == NOW + dt.timedelta(seconds=60)
    # The stream lasts as long as the access token that requested it.
    assert tokens.verify_stream(minted.token, NOW).expires_at == until
    with pytest.raises(Unauthenticated):
        tokens.verify_access(minted.token, NOW)
    with pytest.raises(Unauthenticated, match="expired"):
        tokens.verify_stream(minted.token, NOW + dt.timedelta(seconds=60))


def test_an_access_token_does_not_open_a_stream_by_address() -> None:
    with pytest.raises(Unauthenticated):
        tokens.verify_stream(tokens.mint_access(USER, SESSION, NOW).token, NOW)


def test_a_stream_token_does_not_outlive_the_access_token() -> None:
    until = NOW + dt.timedelta(seconds=20)
    assert tokens.mint_stream(USER, SESSION, until, NOW).expires_at == until


def test_refresh_tokens_are_long_random_and_recognizable() -> None:
    made = {tokens.new_refresh() for _ in range(100)}
    assert len(made) == 100
    for token in made:
        assert token.startswith(REFRESH_PREFIX)
        raw = base64.urlsafe_b64decode(token.removeprefix(REFRESH_PREFIX) + "=")
        assert len(raw) * 8 == 256


def test_a_successor_is_always_the_same_and_needs_the_servers_key() -> None:
    first = tokens.new_refresh()
    assert tokens.successors(first) == tokens.successors(first) == make().successors(first)
    (second,) = tokens.successors(first)
    assert [second] != tokens.successors(tokens.new_refresh())
    other = make(TASKLOOM_SECRET="another secret of thirty-two characters")
    assert [second] != other.successors(first)
    assert second not in (first, *tokens.successors(second))


def test_every_kind_has_its_own_key() -> None:
    keys = {tokens._access.present.key, tokens._stream.present.key, *tokens._refresh_keys}
    assert len(keys) == 3


def test_a_previous_secret_verifies_but_no_longer_signs() -> None:
    former, present = "f" * 40, "p" * 40
    before = make(TASKLOOM_SECRET=former)
    rotated = make(TASKLOOM_SECRET=present, TASKLOOM_SECRETS_OLD=former)
    after = make(TASKLOOM_SECRET=present)
    old = before.mint_access(USER, SESSION, NOW).token
    assert rotated.verify_access(old, NOW).session_id == SESSION
    new = rotated.mint_access(USER, SESSION, NOW).token
    assert after.verify_access(new, NOW).session_id == SESSION
    for tokens_, token in ((after, old), (before, new)):
        with pytest.raises(Unauthenticated, match="different key"):
            tokens_.verify_access(token, NOW)


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_no_random_text_is_a_valid_token(text: str) -> None:
    for verify in (tokens.verify_access, tokens.verify_stream):
        with pytest.raises(Unauthenticated):
            verify(text, NOW)


@given(st.data())
def test_every_changed_character_is_noticed(data: st.DataObject) -> None:
    token = tokens.mint_access(USER, SESSION, NOW).token
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_."))
    changed = token[:place] + other + token[place + 1 :]
    # The last character of each part contains padding bits; variants decode to the same bytes.
    if _decoded(changed) == _decoded(token):
        return
    with pytest.raises(Unauthenticated):
        tokens.verify_access(changed, NOW)


def _decoded(token: str) -> list[bytes] | None:
    try:
        return [base64.urlsafe_b64decode(p + "=" * (-len(p) % 4)) for p in token.split(".")]
    except ValueError:
        return None
