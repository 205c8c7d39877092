"""One session from registration to a resumed subscription, with the client `gql` over real
sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest_asyncio
from gql import Client, GraphQLRequest, gql
from gql.transport.exceptions import TransportError, TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport

from app import create_app
from settings import Settings
from tests import servers
from tests.accounts import PASSWORD

REGISTER = """
mutation Register($input: UserRegisterInput!) {
  userRegister(input: $input) {
    accessToken viewer { user { id username } } errors { code path message }
  }
}
"""
CREATE_PROJECT = """
mutation CreateProject($input: ProjectCreateInput!) {
  projectCreate(input: $input) { project { id key } errors { code path message } }
}
"""
CREATE_TASK = """
mutation CreateTask($input: TaskCreateInput!) {
  taskCreate(input: $input) { task { id title } errors { code path message } }
}
"""
UPDATE_TASK = """
mutation UpdateTask($input: TaskUpdateInput!) {
  taskUpdate(input: $input) { task { id title } errors { code path message } }
}
"""
DELETE_TASK = """
mutation DeleteTask($input: TaskDeleteInput!) {
  taskDelete(input: $input) { deletedIds errors { code } }
}
"""
ADD_MEMBER = """
mutation AddMember($input: ProjectMemberAddInput!) {
  projectMemberAdd(input: $input) { projectMember { role } errors { code } }
}
"""
PAGE = """
query Page($project: ID!, $order: [TaskOrder!], $after: String) {
  project(id: $project) {
    tasks(orderBy: $order, first: 20, after: $after) {
      nodes { id title dueAt priority }
      pageInfo { hasNextPage endCursor }
    }
  }
}
"""
SEE = """
query See($project: ID!, $task: ID!) {
  project(id: $project) { id viewerRole }
  task(id: $task) { id title viewerCanEdit }
  tasks { totalCount }
}
"""
WATCH = """
subscription Watch($project: ID!, $after: String) {
  taskEvents(filter: { project: { id: { eq: $project } } }, after: $after) {
    cursor kind subjectId changes { field ... on TextChange { newText } }
  }
}
"""
ORDERINGS: list[list[dict[str, Any]]] = [
    [{"title": "ASC"}],
    [{"dueAt": "DESC_NULLS_FIRST"}],
    [{"priority": "DESC"}, {"createdAt": "ASC"}],
]


def operation(query: str, **variables: Any) -> GraphQLRequest:
    request = gql(query)
    request.variable_values = variables
    return request


@dataclass(slots=True)
class Somebody:
    """A registered user with a client."""

    url: str
    name: str
    token: str
    http: Any

    async def ask(self, query: str, **variables: Any) -> Any:
        return await self.http.execute(operation(query, **variables))

    async def do(self, query: str, **fields: Any) -> Any:
        """The payload of a mutation without errors."""
        (payload,) = (await self.ask(query, input=fields)).values()
        assert payload["errors"] == []
        return payload

    def socket(self) -> WebsocketsTransport:
        return WebsocketsTransport(
            self.url.replace("http", "ws", 1) + "/graphql",
            init_payload={"Authorization": f"Bearer {self.token}"},
            subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
        )


@pytest_asyncio.fixture(scope="module")
async def url(settings: Settings) -> AsyncIterator[str]:
    async with servers.serving(create_app(settings)) as address:
        yield address


@contextlib.asynccontextmanager
async def registered(url: str) -> AsyncIterator[Somebody]:
    name = f"j{secrets.token_hex(6)}"
    given = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    async with Client(transport=HTTPXAsyncTransport(f"{url}/graphql", timeout=30)) as nobody:
        payload = (await nobody.execute(operation(REGISTER, input=given)))["userRegister"]
    assert payload["errors"] == []
    assert payload["viewer"]["user"]["username"] == name
    token = payload["accessToken"]
    transport = HTTPXAsyncTransport(
        f"{url}/graphql", headers={"Authorization": f"Bearer {token}"}, timeout=30
    )
    async with Client(transport=transport) as session:
        yield Somebody(url, name, token, session)


@contextlib.asynccontextmanager
async def watching(
    person: Somebody, project: str, after: str | None = None
) -> AsyncIterator[tuple[AsyncIterator[Any], WebsocketsTransport]]:
    transport = person.socket()
    async with Client(transport=transport) as session:
        stream = session.subscribe(operation(WATCH, project=project, after=after))
        yield (answer["taskEvents"] async for answer in stream), transport
        # The client would wait for the end of its open subscriptions.
        await stream.aclose()


async def take(events: AsyncIterator[Any], count: int) -> list[Any]:
    async with asyncio.timeout(30):
        return [await anext(events) for _ in range(count)]


async def test_the_journey(url: str) -> None:
    async with registered(url) as ada, registered(url) as bob:
        project = (await ada.do(CREATE_PROJECT, name="Journey"))["project"]["id"]
        tasks = await fill(ada, project, 150)
        for order in ORDERINGS:
            await page_while_others_work(ada, project, tasks, order)
        await grant_sight(ada, bob, project, tasks[0])
        await watch_cut_and_resume(ada, bob, project, tasks)


async def fill(ada: Somebody, project: str, count: int) -> list[str]:
    """Create tasks of which some have due dates and priorities, many of them equal."""

    async def one(number: int) -> str:
        due = {"at": f"2030-01-{1 + number % 20:02}T00:00:00Z"} if number % 3 else None
        made = await ada.do(
            CREATE_TASK,
            title=f"task {number:03}",
            projectId=project,
            due=due,
            priority=["NONE", "LOW", "HIGH"][number % 3],
        )
        task: str = made["task"]["id"]
        return task

    made: list[str] = []
    for start in range(0, count, 10):
        made += await asyncio.gather(*(one(number) for number in range(start, start + 10)))
    return made


async def page_while_others_work(
    ada: Somebody, project: str, tasks: list[str], order: list[dict[str, Any]]
) -> None:
    """A task that exists from beginning to end appears exactly once."""
    seen: list[str] = []
    passing: list[str] = []
    after: str | None = None
    while True:
        answer = await ada.ask(PAGE, project=project, order=order, after=after)
        page = answer["project"]["tasks"]
        seen += [node["id"] for node in page["nodes"]]
        made = await asyncio.gather(
            *(
                ada.do(CREATE_TASK, title=title, projectId=project, due=due)
                for title, due in (("aaa", None), ("zzz", {"at": "2040-01-01T00:00:00Z"}))
            )
        )
        # One of the new tasks is deleted at once, the other with the next page.
        passing += [payload["task"]["id"] for payload in made]
        await ada.do(DELETE_TASK, id=passing.pop(0))
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert sorted(task for task in seen if task in set(tasks)) == sorted(tasks)
    assert len(seen) == len(set(seen))
    for task in passing:
        await ada.do(DELETE_TASK, id=task)


async def grant_sight(ada: Somebody, bob: Somebody, project: str, task: str) -> None:
    """A user without access sees nothing; a viewer sees the project, but cannot change it."""
    try:
        await bob.ask(SEE, project=project, task=task)
    except TransportQueryError as refused:
        answer, errors = refused.data, refused.errors
    assert answer == {"project": None, "task": None, "tasks": {"totalCount": 0}}
    assert [error["extensions"]["code"] for error in errors or ()] == ["NOT_FOUND"] * 2

    await ada.do(ADD_MEMBER, projectId=project, userId=f"@{bob.name}", role="VIEWER")
    answer = await bob.ask(SEE, project=project, task=task)
    assert answer["project"] == {"id": project, "viewerRole": "VIEWER"}
    assert answer["task"]["viewerCanEdit"] is False
    assert answer["tasks"]["totalCount"] == 150
    payload = (await bob.ask(UPDATE_TASK, input={"id": task, "title": "mine"}))["taskUpdate"]
    assert payload["task"] is None
    assert [error["code"] for error in payload["errors"]] == ["FORBIDDEN"]


async def watch_cut_and_resume(
    ada: Somebody, bob: Somebody, project: str, tasks: list[str]
) -> None:
    """Both receive events live; then one connection is cut, and resumes where it was."""
    since = (await ada.ask("{ eventCursor }"))["eventCursor"]
    async with (
        watching(ada, project, since) as (at_ada, _),
        watching(bob, project, since) as (at_bob, connection),
    ):
        await ada.do(UPDATE_TASK, id=tasks[0], title="seen by both")
        (hers,), (his,) = await take(at_ada, 1), await take(at_bob, 1)
        assert hers == his
        assert (his["kind"], his["subjectId"]) == ("TASK_UPDATED", tasks[0])
        assert his["changes"] == [{"field": "title", "newText": "seen by both"}]

        cut(connection)
        with contextlib.suppress(TransportError, StopAsyncIteration):
            await take(at_bob, 1)
            raise AssertionError("a connection that was cut delivers nothing")
        changed = tasks[1:21]
        for number, task in enumerate(changed):
            await ada.do(UPDATE_TASK, id=task, title=f"change {number}")
        assert [event["subjectId"] for event in await take(at_ada, 20)] == changed

    async with watching(bob, project, his["cursor"]) as (at_bob, _):
        missed = await take(at_bob, 20)
        assert [event["subjectId"] for event in missed] == changed
        assert [event["changes"][0]["newText"] for event in missed] == [
            f"change {number}" for number in range(20)
        ]
        # The subscription continues live: the next event is the next change.
        await ada.do(UPDATE_TASK, id=tasks[30], title="afterwards")
        (event,) = await take(at_bob, 1)
        assert event["subjectId"] == tasks[30]


def cut(connection: WebsocketsTransport) -> None:
    """Cut the connection like a pulled cable: without a closing handshake."""
    socket: Any = connection.adapter.websocket
    socket.transport.abort()
