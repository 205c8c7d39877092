"""An error about a limit has the numbers of its message as fields, for every mutation."""

from __future__ import annotations

import re
from typing import Any

from graphql import get_named_type, is_input_object_type, is_list_type, is_non_null_type

from tests.factories import World, fresh_id, gid
from tests.graph.kit.test_all_problems import APART, LEFT_OUT, MUTATIONS, variants

LIMIT = re.compile(r"at (?:most|least) ([\d,]+) .*(?:has|mentions|make) ([\d,]+)\.")
ERRORS = "{ errors { code path message limit actual } }"
# How deep inputs are filled in.
DEPTH = 3
Input = dict[str, Any]


def _long(name: str, type_: Any, required: bool, depth: int, variant: int) -> Any:
    """A value that is too long where the type has a length, otherwise any; None if optional."""
    inner = type_.of_type if is_non_null_type(type_) else type_
    named = get_named_type(type_)
    if is_input_object_type(named):
        value = _too_long(named, variant, depth + 1) if depth < DEPTH else None
        return [value] if is_list_type(inner) and value is not None else value
    if is_list_type(inner):
        return ["x" * 300] * 1001 if named.name == "String" else [] if required else None
    if named.name in {"String", "Markdown"}:
        return "ab " * 12_000
    if not required:
        return None
    if named.name == "ID":
        return f"{name.removesuffix('Id')}_{fresh_id().hex}"
    examples = {
        "Int": 1,
        "Seconds": 1,
        "URL": "https://example.com",
        "LocalTime": "09:00",
        "Boolean": True,
        "DateTime": "2026-01-01T00:00:00Z",
        "Date": "2026-01-01",
    }
    return next(iter(named.values)) if hasattr(named, "values") else examples.get(named.name)


def _too_long(type_: Any, variant: int, depth: int = 0) -> Input:
    """An input with values that are too long. Where exactly one field may be given, the variant's
    number chooses it.
    """
    fields = list(type_.fields.items())
    if type_.is_one_of:
        fields = [fields[variant % len(fields)]]
    given = {}
    for name, field in fields:
        if name in LEFT_OUT:
            continue
        required = type_.is_one_of or is_non_null_type(field.type)
        given[name] = _long(name, field.type, required, depth, variant)
    return {name: value for name, value in given.items() if value is not None}


def _number(text: str) -> int:
    return int(text.replace(",", ""))


async def test_limits_are_numbers_of_their_own(world: World) -> None:
    admin = await world.person(is_admin=True)
    told: set[str] = set()
    for name, field in MUTATIONS.items():
        if name in APART:
            continue
        type_ = get_named_type(field.args["input"].type)
        document = f"mutation ($input: {type_.name}!) {{ it: {name}(input: $input) {ERRORS} }}"
        for variant in range(variants(type_)):
            reply = await world.post(document, admin, input=_too_long(type_, variant))
            assert not reply.errors, reply.errors
            for error in reply.data["it"]["errors"]:
                found = LIMIT.search(error["message"])
                numbers = (error["limit"], error["actual"])
                if found is None:
                    assert numbers == (None, None) or error["code"] != "BAD_USER_INPUT", error
                else:
                    assert numbers == (_number(found[1]), _number(found[2])), error
                    told.add(f"{name}.{error['path'][-1]}")
    assert {"taskCreate.title", "commentCreate.body", "userRegister.password"} <= told
    assert len(told) > 40, told


async def test_a_repeat_of_a_key_has_the_numbers_too(world: World) -> None:
    ada = await world.person()
    document = (
        "mutation ($input: TaskBulkCreateInput!) { taskBulkCreate(input: $input) "
        "{ replayed doneCount errors { message limit actual } } }"
    )
    items = [{"title": "x" * 201}, {"title": "good"}]
    values = {"items": items, "onError": "CONTINUE", "idempotencyKey": "once"}
    for replayed in (False, True):
        found = (await world.run(document, ada, input=values)).data["taskBulkCreate"]
        (error,) = found["errors"]
        assert (found["replayed"], found["doneCount"]) == (replayed, 1)
        assert (error["limit"], error["actual"]) == (200, 201)


async def test_limits_on_numbers_of_objects(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada, "root")
    document = (
        "mutation ($input: TaskCreateInput!) { taskCreate(input: $input) "
        "{ task { id } errors { code limit actual } } }"
    )
    parent = gid(task)
    for _ in range(2):
        reply = await world.run(document, ada, input={"title": "below", "parentId": parent})
        parent = reply.good["taskCreate"]["task"]["id"]
    reply = await world.run(document, ada, input={"title": "below", "parentId": parent})
    (error,) = reply.user_errors
    assert error == {"code": "LIMIT_EXCEEDED", "limit": 3, "actual": 4}
