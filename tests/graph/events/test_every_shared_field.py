"""Every field whose answer may be shared, compared with the list `events` of each viewer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

from graphql import get_named_type, is_abstract_type, is_leaf_type, is_required_argument

from db import models
from graph.core.sharing import compared_labels
from graph.request.execution import Executor
from graph.request.preparation import GraphQLRequest
from tests.access.test_scope_walk import SCHEMA
from tests.accounts import Person
from tests.factories import World, gid
from tests.graph.events.listening import LISTEN, POLL, collect, listen

# Paths of one document, and of one with aliases; more would be refused.
TOGETHER = 40
ALIASED = 10


async def _paths_alike(executor: Executor) -> AsyncGenerator[str, None]:
    """Every path of fields below an event, through up to two objects, of which all who see the
    same get the same.
    """

    async def is_alike(selection: str) -> bool:
        request = GraphQLRequest(query=f"subscription {{ taskEvents {{ {selection} }} }}")
        prepared = await executor.prepare(request, request_id="test")
        return compared_labels(prepared.operation.selection_index) is not None

    async def below(type_: Any, around: str, depth: int) -> AsyncGenerator[str, None]:
        if is_abstract_type(type_):
            for one in SCHEMA.get_possible_types(type_):
                async for path in below(one, around % f"... on {one.name} {{ %s }}", depth):
                    yield path
            return
        for name, field in type_.fields.items():
            inner = get_named_type(field.type)
            # In fragments, fields of the same name may have different types.
            named = f"{type_.name}_{name}: {name}" if "... on" in around else name
            if any(is_required_argument(argument) for argument in field.args.values()):
                continue
            if is_leaf_type(inner):
                if await is_alike(around % named):
                    yield around % named
            elif depth and await is_alike(around % f"{named} {{ __typename }}"):
                async for path in below(inner, around % f"{named} {{ %s }}", depth - 1):
                    yield path

    async for path in below(SCHEMA.type_map["Event"], "%s", 2):
        yield path


async def test_everybody_gets_of_every_field_what_their_own_list_shows(world: World) -> None:
    ada, ben, cleo, guest, helper = people = await world.people(5)
    project = await world.project(ada, editors=[ben], viewers=[cleo])
    top = await world.task(ada, "top", project_id=project.id)
    own: dict[str, Any] = {"project_id": project.id, "parent_id": top.id}
    task = await world.task(ada, "a task", assignee_id=helper.id, **own)
    await world.share(task, guest, models.Permission.EDIT)
    id_ = gid(task)
    turns: list[tuple[Person, str, dict[str, Any]]] = [
        (guest, "taskUpdate", {"id": id_, "title": "Another", "notes": "x", "tags": ["a"]}),
        (helper, "taskUpdate", {"id": id_, "estimate": 600, "due": {"on": "2199-01-01"}}),
        (cleo, "commentCreate", {"taskId": id_, "body": f"@{ben.username} and @{guest.username}"}),
        (ben, "taskUpdate", {"id": id_, "assigneeId": gid(cleo)}),
        (ada, "taskShareCreate", {"taskId": id_, "userId": gid(helper)}),
        (ada, "taskMove", {"id": id_, "parentId": None}),
    ]
    paths = [path async for path in _paths_alike(world.executors["batch"])]
    assert len(paths) > 200
    aliased = [path for path in paths if "... on" in path]
    plain = [path for path in paths if path not in aliased]
    chunks = [
        " ".join(some[at : at + count])
        for some, count in ((plain, TOGETHER), (aliased, ALIASED))
        for at in range(0, len(some), count)
    ]
    heard: dict[tuple[UUID, str], list[Any]] = {}
    async with contextlib.AsyncExitStack() as stack:
        reading = []
        for selection in chunks:
            for person in people:
                answers = await listen(world, stack, person, LISTEN % selection, None)
                reading.append(asyncio.create_task(collect(heard, person, selection, answers)))
        await asyncio.sleep(0.2)
        for person, mutation, given in turns:
            since = (await world.run("{ eventCursor }", ada)).data["eventCursor"]
            heard.clear()
            type_ = f"{mutation[0].upper()}{mutation[1:]}Input!"
            done = f"{mutation}(input: $input) {{ errors {{ code }} }}"
            text = f"mutation ($input: {type_}) {{ {done} }}"
            assert (await world.run(text, person, input=given)).good
            expected = {}
            for selection in chunks:
                for each in people:
                    reply = await world.run(POLL % selection, each, filter=None, after=since)
                    expected[each.id, selection] = reply.data["events"]["nodes"]
            assert any(expected.values())
            async with asyncio.timeout(60):
                while any(len(heard.get(key, ())) < len(expected[key]) for key in expected):
                    await asyncio.sleep(0.01)
            for key, nodes in expected.items():
                assert heard.get(key, []) == nodes, (mutation, key)
        for one in reading:
            one.cancel()
        await asyncio.wait(reading)
