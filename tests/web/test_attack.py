"""Hostile operations and texts, by every transport, beside somebody who just wants an answer. How
long each takes is for `bench.attacks`, which they are from.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app import Application
from bench.attacks.operations import ATTACKS, INFO, check
from bench.attacks.texts import FORMS, HERE, SIZE, Attacker, Position, positions, send
from tests.accounts import House
from tests.web.websocket_client import opened

# Messages that are deeper than any may be are not read, and so are no operation's fault.
UNREADABLE = "variables nested deeply"
# Executed: what is wrong with them is seen by the field that takes the filter, if anything is.
WITHIN = {name for name, attack in ATTACKS.items() if attack.refused is None}
WITHIN |= {"a megabyte to search for", "as many input objects as there may be"}


@pytest.fixture(scope="module")
async def http(live_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=live_url, timeout=60) as client:
        yield client


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_is_refused_and_disturbs_nobody(
    http: httpx.AsyncClient, house: House, name: str
) -> None:
    credentials = {"Authorization": (await house.person()).header}

    async def attack(accept: str) -> None:
        headers = {"Accept": accept, **credentials}
        for _ in range(3):
            response = await http.post("/graphql", json=ATTACKS[name].request, headers=headers)
            if name in WITHIN:
                assert response.status_code == 200
            else:
                # The new media type has its status for whatever is wrong with a document.
                assert response.status_code == 400
                refused(name, response.json())

    async def canary() -> None:
        for _ in range(20):
            response = await http.post("/graphql", json={"query": INFO})
            assert response.json()["data"]["serverInfo"]["name"] == "Taskloom"

    new = "application/graphql-response+json"
    await asyncio.gather(attack(new), attack(f"{new}, text/event-stream"), canary())


@pytest.mark.parametrize("name", ATTACKS)
async def test_within_a_stream_too(http: httpx.AsyncClient, house: House, name: str) -> None:
    headers = {"Accept": "text/event-stream", "Authorization": (await house.person()).header}
    response = await http.post("/graphql", json=ATTACKS[name].request, headers=headers)
    assert response.status_code in ({200} if name in WITHIN else {200, 400})
    if response.status_code == 400:
        refused(name, response.json())
    else:
        data = next(line for line in response.text.splitlines() if line.startswith("data: "))
        check(name, ATTACKS[name], httpx.Response(200, text=data[6:]).json())


@pytest.mark.parametrize("name", ATTACKS)
async def test_over_a_socket_it_is_an_error_of_its_own(
    live_url: str, house: House, name: str
) -> None:
    params = {"Authorization": (await house.person()).header}
    async with opened(live_url, init=params) as socket:
        await socket.send({"id": "attack", "type": "subscribe", "payload": ATTACKS[name].request})
        if name == UNREADABLE:
            code, reason = await socket.closed()
            assert (code, "levels deep" in reason) == (4400, True)
            return
        if name in WITHIN:
            (answer,) = await socket.until_complete("attack")
            check(name, ATTACKS[name], answer)
        else:
            message = await socket.receive()
            assert (message["id"], message["type"]) == ("attack", "error")
            refused(name, {"errors": message["payload"]})
        # The socket is as good as before.
        await socket.subscribe(INFO, id_="canary")
        (answer,) = await socket.until_complete("canary")
        assert answer["extensions"]["cost"]["charged"] == 1


def refused(name: str, answer: dict[str, Any]) -> None:
    check(name, ATTACKS[name], answer)
    extensions = answer["errors"][0]["extensions"]
    if "limit" in extensions:
        assert extensions["code"] in {"OPERATION_TOO_COMPLEX", "BAD_REQUEST"}
        assert extensions["actual"] > extensions["maximum"]


# --- texts ---------------------------------------------------------------------------------------

# Seconds of the processor for which the event loop may stand still. The promise is 0.2; what these
# tests are for takes seconds or minutes.
LONGEST_PAUSE = 0.5


@pytest.fixture(scope="module")
async def attacker(app: Application) -> Attacker:
    """Somebody with one object of each kind."""
    house = House(app.runtime.settings, app.runtime.services.database)
    made = Attacker(app, (await house.person()).header)
    house.auth.close()
    await made.prepare()
    return made


async def test_a_hostile_text_stops_nobody_wherever_it_is_written(
    app: Application, attacker: Attacker
) -> None:
    """Marks go everywhere, and of the other forms one to each place."""
    forms = {name: form(SIZE // 8) for name, form in FORMS.items()}
    marks, others = forms.pop("combining marks"), list(forms.items())
    slow = {}
    for index, position in enumerate(positions(app.runtime.executor.schema)):
        name, text = others[index % len(others)]
        for form, hostile in (("combining marks", marks), (name, text)):
            taken = await attacker.attack(position, hostile)
            if taken.pause > LONGEST_PAUSE:
                slow[position.name] = (form, taken.pause)
    assert not slow


@pytest.mark.nightly
@pytest.mark.parametrize("form", FORMS)
async def test_every_form_in_every_place(app: Application, attacker: Attacker, form: str) -> None:
    text = FORMS[form](SIZE)
    slow = {}
    for position in positions(app.runtime.executor.schema):
        taken = await attacker.attack(position, text)
        if taken.pause > LONGEST_PAUSE:
            slow[position.name] = taken.pause
    assert not slow


async def test_a_text_that_cannot_be_stored_is_refused_before_it_is_looked_up(
    app: Application, attacker: Attacker
) -> None:
    """PostgreSQL's error would be one of the whole field, which names no place in the input."""
    looked_up = []
    for position in positions(app.runtime.executor.schema):
        taken = await attacker.attack(position, "a\0b")
        if b"cannot be stored" in taken.answer or b"INTERNAL" in taken.answer:
            looked_up.append(position.name)
    assert looked_up == []


CELLS = ("start", "end", "day", "durationSeconds", "project", "task", "description", "tags", "id")


@pytest.mark.parametrize("form", FORMS)
async def test_a_hostile_cell_of_an_import(attacker: Attacker, form: str) -> None:
    # The longest that Python's reader of CSV takes.
    text = FORMS[form](100_000).replace('"', '""')
    for column in CELLS:
        names = ["start", "durationSeconds"]
        row = dict.fromkeys(names, "60") | {"start": "2026-01-01T00:00:00Z", column: f'"{text}"'}
        csv = f"{','.join(row)}\n{','.join(row.values())}\n"
        taken = await attacker.attack(IMPORT, csv)
        assert taken.pause < LONGEST_PAUSE


IMPORT = Position(
    "csv",
    "mutation ($csv: String!) { timeEntryImport(input: {csv: $csv, dryRun: true}) "
    "{ errors { code message } } }",
    {"csv": HERE},
)
ROUTES = [
    ("GET", "/files/{}", ""),
    ("GET", "/files/attachment_x", "expires={0}&signature={0}"),
    ("PUT", "/files/uploads/{}", "expires={0}&signature={0}"),
    ("GET", "/users/{}/avatar.png", "size={0}&v={0}"),
    ("GET", "/auth/verify-email", "token={0}"),
    ("GET", "/unsubscribe", "token={0}"),
    ("GET", "/graphql", "query={0}"),
    ("GET", "/graphql", "query=%7Btasks%7BtotalCount%7D%7D&variables={0}&token={0}"),
    ("GET", "/{}", ""),
]
HEADERS = [
    "accept", "authorization", "content-type", "cookie", "if-none-match", "if-range", "origin",
    "range", "user-agent", "x-request-id", "x-forwarded-for", "accept-language",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
async def test_a_hostile_address_or_header(app: Application, form: str) -> None:
    # As long as an address or a header may be; web.protocol refuses longer ones.
    text = FORMS[form](16_000)
    for method, path, query in ROUTES:
        asked = query.format(quote(text)).encode()[:65_000]
        taken = await send(app, path.format(text), method=method, query=asked)
        assert taken.status < 500
        assert taken.pause < LONGEST_PAUSE
    for name in HEADERS:
        value = text.encode("latin-1", "ignore") or b"a" * 16_000
        for path in ("/graphql", "/health/live"):
            taken = await send(app, path, body=b"{}", headers={name: value})
            assert taken.status < 500
            assert taken.pause < LONGEST_PAUSE


@pytest.mark.parametrize("form", FORMS)
async def test_a_hostile_form_of_oauth(app: Application, form: str) -> None:
    headers = {"content-type": b"application/x-www-form-urlencoded"}
    for size in (2_000, SIZE // 4):
        text = quote(FORMS[form](size))
        for body in (
            f"grant_type=password&username={text}&password={text}&device_name={text}",
            f"grant_type={text}",
            f"grant_type=refresh_token&refresh_token={text}",
        ):
            taken = await send(app, "/auth/token", body=body.encode(), headers=headers)
            assert taken.status == 400
            assert taken.pause < LONGEST_PAUSE


async def test_a_stranger_with_600_kb_of_marks_is_told_the_rule_at_once(
    http: httpx.AsyncClient,
) -> None:
    """Took over a minute, in which nobody got an answer."""
    marks = "a" + "\u0301\u0316" * 150_000
    query = """mutation ($text: String!) { userRegister(input: {
      username: "marks", email: "marks@example.com", password: $text, fullName: $text
    }) { errors { message } } }"""
    login = """mutation ($text: String!) {
      sessionCreate(input: {login: $text, password: $text}) { errors { code } }
    }"""

    async def strangers() -> None:
        request = {"query": query, "variables": {"text": marks}}
        response = await http.post("/graphql", json=request)
        errors = response.json()["data"]["userRegister"]["errors"]
        assert any("at most 100 characters" in error["message"] for error in errors)
        response = await http.post("/graphql", json={"query": login, "variables": {"text": marks}})
        errors = response.json()["data"]["sessionCreate"]["errors"]
        assert [error["code"] for error in errors] == ["INVALID_CREDENTIALS"]

    async def bystander() -> None:
        for _ in range(10):
            assert (await http.get("/health/live")).status_code == 200

    async with asyncio.timeout(20):
        await asyncio.gather(strangers(), bystander())


@pytest.mark.parametrize("form", FORMS)
async def test_a_hostile_text_within_a_document(app: Application, form: str) -> None:
    """Where variables are not: in literals, comments, names, and what surrounds the document."""
    text = FORMS[form](19_000)[:19_000]
    literal = json.dumps(text, ensure_ascii=False)
    login = "mutation { sessionCreate(input: {login: %s, password: %s}) { errors { code } } }"
    small = FORMS[form](9_000)[:9_000]
    requests: list[dict[str, Any]] = [
        {"query": login % ('"x"', literal)},
        {"query": login % ('"x"', f'"""{text}"""')},
        {"query": f"query ($x: String = {literal}) {{ search(query: $x) {{ totalCount }} }}"},
        {"query": f"{{ serverInfo {{ name }} }} # {text}"},
        {"query": f"{{ serverInfo {{ {small} }} }}"},
        {"query": text},
        {"query": INFO, "operationName": FORMS[form](SIZE)},
        {"query": INFO, "variables": {FORMS[form](SIZE): 1}},
        {"query": "query ($f: TaskFilter) { tasks(filter: $f) { totalCount } }",
         "variables": {"f": {FORMS[form](SIZE): 1}}},
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": FORMS[form](SIZE)}}},
    ]  # fmt: skip
    for request in requests:
        body = json.dumps(request, ensure_ascii=False).encode()
        taken = await send(app, "/graphql", body=body)
        assert taken.status < 500
        assert b"INTERNAL_SERVER_ERROR" not in taken.answer
        assert taken.pause < LONGEST_PAUSE
        # An answer is no echo.
        assert len(taken.answer) < 50_000
