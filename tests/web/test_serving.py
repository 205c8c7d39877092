"""What a server process says of itself on its standard error."""

from __future__ import annotations

import hashlib
import json
import secrets
from uuid import UUID

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from settings import Settings
from tests.accounts import PASSWORD, House
from tests.servers import process

MARK = "words-of-a-user"
LONG = """mutation($id: ID!, $body: Markdown!) {
  commentCreate(input: {taskId: $id, body: $body}) { comment { id } }
}"""


REGISTER = """
mutation ($username: String!, $password: String!, $email: String!) {
  userRegister(input: {username: $username, password: $password, email: $email}) { accessToken }
}
"""
BOARD = """
query Board($t: String!) {
  viewer { user { id } }
  tasks(filter: {title: {contains: $t}}) { totalCount nodes { namedByAClient: title id } }
}
"""


async def test_the_level_debug_tells_of_requests_and_not_what_is_in_them(
    settings: Settings, house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    """Libraries tell frames of WebSockets at this level, and each line of a long comment."""
    person = await house.person()
    with process(settings, TASKLOOM_LOG_LEVEL="debug") as (url, _):
        async with (
            httpx.AsyncClient(base_url=url, headers={"Authorization": person.header}) as http,
            connect(
                f"{url.replace('http', 'ws', 1)}/graphql",
                subprotocols=[Subprotocol("graphql-transport-ws")],
            ) as socket,
        ):
            payload = {"Authorization": person.header, MARK: ""}
            await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
            assert json.loads(await socket.recv()) == {"type": "connection_ack"}
            create = 'mutation { taskCreate(input: {title: "long"}) { task { id } } }'
            task = (await http.post("/graphql", json={"query": create})).json()
            variables = {"id": task["data"]["taskCreate"]["task"]["id"], "body": f"{MARK}\n" * 500}
            await http.post("/graphql", json={"query": LONG, "variables": variables})
    said = capfd.readouterr().err
    assert said.count("path=/graphql") == 2
    assert MARK not in said
    assert len(said.splitlines()) < 100


async def test_each_request_is_one_line_of_json_in_production(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    variables = {
        "TASKLOOM_ENV": "production",
        "TASKLOOM_SECRET": "s" * 40,
        "TASKLOOM_PASSWORD_PEPPER": "p" * 20,
        "TASKLOOM_BCRYPT_ROUNDS": "12",
        "TASKLOOM_LOG_SLOW_SECONDS": "0.000001",
    }
    name = f"u{secrets.token_hex(6)}"
    new = {"username": name, "password": PASSWORD, "email": f"{name}@example.com"}
    body = {"query": BOARD, "variables": {"t": MARK}}
    with process(settings, port=None, folder=None, **variables) as (url, _):
        async with httpx.AsyncClient(base_url=url, timeout=30) as http:
            made = await http.post("/graphql", json={"query": REGISTER, "variables": new})
            token = made.json()["data"]["userRegister"]["accessToken"]
            headers = {
                "Authorization": f"Bearer {token}",
                "X-Request-Id": "the-request-of-the-test",
            }
            reply = await http.post("/graphql?token=hidden", json=body, headers=headers)
            user = UUID(hex=reply.json()["data"]["viewer"]["user"]["id"].removeprefix("user_"))
            # What is asked often is written into JSON by statements of its own.
            for _ in range(20):
                await http.post("/graphql", json=body, headers=headers)
            await http.get("/health/live")
            await http.get("/nowhere")
        async with connect(
            f"{url.replace('http', 'ws', 1)}/graphql",
            subprotocols=[Subprotocol("graphql-transport-ws")],
        ) as socket:
            payload = {"Authorization": f"Bearer {token}"}
            await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
            await socket.recv()
            await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": body}))
            await socket.recv()
    said = capfd.readouterr().err
    for hidden in (MARK, token, "hidden", PASSWORD, name, "namedByAClient"):
        assert hidden not in said
    lines = [json.loads(line) for line in said.splitlines()]
    requests = [line for line in lines if line["message"] == "request"]
    _, asked, *_, missing, over_socket = [
        line for line in requests if not line.get("path", "").startswith("/health")
    ]
    for line in (asked, over_socket):
        names = ("operation", "kind", "hash", "user", "outcome", "level")
        assert {name: line[name] for name in names} == {
            "operation": "Board",
            "kind": "query",
            "hash": hashlib.sha256(BOARD.encode()).hexdigest(),
            "user": str(user),
            "outcome": "ok",
            "level": "warning",
        }
        assert line["cost"] >= 1
        assert line["statements"] >= len(line["slow"]) >= 1
        assert any("FROM tasks" in statement for statement in line["slow"])
    assert (asked["request_id"], asked["path"]) == ("the-request-of-the-test", "/graphql")
    assert (missing["path"], missing["status"]) == ("/nowhere", 404)
