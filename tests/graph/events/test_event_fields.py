"""Every field of an event is there, and the same, by every way that gives events."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type, is_leaf_type, is_union_type

from graph.schema import schema
from tests.factories import ENGINES, Engine, World, gid
from tests.graph.events.test_events import listening


def _selection() -> str:
    type_ = schema._schema.type_map["Event"]
    assert isinstance(type_, GraphQLObjectType)
    parts = []
    for name, field in type_.fields.items():
        named = get_named_type(field.type)
        if is_leaf_type(named):
            parts.append(name)
        elif is_union_type(named) or "id" not in named.fields:
            parts.append(f"{name} {{ __typename }}")
        else:
            parts.append(f"{name} {{ id }}")
    return " ".join(parts)


ALL = _selection()
RENAME = """mutation ($id: ID!) {
  taskUpdate(input: { id: $id, title: "renamed" }) { task { id } errors { message } }
}"""


@pytest.mark.parametrize("engine", ENGINES)
async def test_all_fields_by_all_ways(world: World, engine: Engine) -> None:
    person = await world.person(is_admin=True)
    project = await world.project(person)
    task = await world.task(person, project_id=project.id)
    cursor = (await world.run("{ eventCursor }", person)).good["eventCursor"]
    subscription = f"subscription ($after: String) {{ taskEvents(after: $after) {{ {ALL} }} }}"
    async with listening(world, person, engine, document=subscription, after=cursor) as live:
        (await world.run(RENAME, person, id=gid(task))).good  # noqa: B018
        event = await live.event()
    assert event["ip"]
    assert event["via"] == "SESSION"
    assert event["session"]["id"].startswith("session_")

    async def asked(document: str, **variables: Any) -> Any:
        reply = await world.run(document, person, engine=engine, **variables)
        assert not reply.errors, reply.errors
        return reply.data

    ways = {}
    only = f'filter: {{ task: {{ id: {{ eq: "{gid(task)}" }} }} }}'
    audit = await asked(f"{{ adminAuditLog({only}) {{ nodes {{ {ALL} }} }} }}")
    ways["adminAuditLog"] = audit["adminAuditLog"]["nodes"]
    mine = await asked(f"{{ viewer {{ activity({only}) {{ nodes {{ {ALL} }} }} }} }}")
    ways["Viewer.activity"] = mine["viewer"]["activity"]["nodes"]
    of_project = f"query ($id: ID!) {{ project(id: $id) {{ activity {{ nodes {{ {ALL} }} }} }} }}"
    found = await asked(of_project, id=gid(project))
    ways["Project.activity"] = found["project"]["activity"]["nodes"]
    of_task = f"query ($id: ID!) {{ task(id: $id) {{ activity {{ nodes {{ {ALL} }} }} }} }}"
    ways["Task.activity"] = (await asked(of_task, id=gid(task)))["task"]["activity"]["nodes"]
    changes = f"query ($c: String!) {{ events(after: $c) {{ nodes {{ {ALL} }} }} }}"
    ways["events"] = (await asked(changes, c=cursor))["events"]["nodes"]
    node = f"query ($id: ID!) {{ node(id: $id) {{ ... on Event {{ {ALL} }} }} }}"
    ways["node"] = [(await asked(node, id=event["id"]))["node"]]
    for name, events in ways.items():
        assert [one for one in events if one["id"] == event["id"]] == [event], name
    # Other users see neither address nor session, by any of the ways.
    other = await world.person()
    project = await world.project(person, viewers=[other])
    shared = await world.task(person, project_id=project.id)
    async with listening(world, other, engine, document=subscription) as live:
        (await world.run(RENAME, person, id=gid(shared))).good  # noqa: B018
        seen = await live.event()
    assert (seen["ip"], seen["session"]) == (None, None)
