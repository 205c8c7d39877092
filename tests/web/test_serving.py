"""What a server process says of itself on its standard error."""

from __future__ import annotations

import json

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from settings import Settings
from tests.accounts import House
from tests.servers import process

MARK = "words-of-a-user"
LONG = """mutation($id: ID!, $body: Markdown!) {
  commentCreate(input: {taskId: $id, body: $body}) { comment { id } }
}"""


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
    assert "POST '/graphql' 200" in said
    assert MARK not in said
    assert len(said.splitlines()) < 100
