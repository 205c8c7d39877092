"""Runs the access matrix; `tests/access/matrix.py` explains how to extend it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import pytest_asyncio
from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLNonNull,
    GraphQLSchema,
    get_named_type,
    is_enum_type,
    is_input_object_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)

from graph.schema import schema
from tests import uploads
from tests.access.case import Case
from tests.access.fixtures import AccessRole, Cast, Fixtures, absent, anonymous
from tests.access.matrix import CASES, PUBLIC, UNADDRESSED
from tests.factories import Reply, World

SCHEMA: GraphQLSchema = schema._schema
BY_NAME = {case.name: case for case in CASES}


def root_fields() -> dict[str, GraphQLField]:
    roots = (SCHEMA.query_type, SCHEMA.mutation_type, SCHEMA.subscription_type)
    return {
        f"{root.name}.{name}": field
        for root in roots
        if root is not None
        for name, field in root.fields.items()
    }


def addressable() -> dict[str, GraphQLField]:
    """The root fields, and those of the viewer, which are lists of their own."""
    viewer: Any = SCHEMA.type_map["Viewer"]
    return root_fields() | {f"Viewer.{name}": field for name, field in viewer.fields.items()}


@pytest_asyncio.fixture(scope="module")
async def cast(world: World) -> Cast:
    return await Cast.gather(world)


def test_every_root_field_has_a_case_or_a_reason() -> None:
    covered = {case.path for case in CASES} | set(UNADDRESSED)
    assert sorted(set(root_fields()) - covered) == []
    assert sorted(covered - set(addressable())) == []


def test_every_name_is_unique() -> None:
    assert len(BY_NAME) == len(CASES)


def test_every_field_with_an_id_or_a_filter_has_a_case() -> None:
    """A reason is not enough for a field that can address an object."""

    def addressed(name: str, argument: GraphQLArgument) -> bool:
        type_: Any = get_named_type(argument.type)
        if name in {"filter", "search", "key", "username"} or type_.name == "ID":
            return True
        return isinstance(type_, GraphQLInputObjectType) and any(
            addressed(inner, field) for inner, field in type_.fields.items()
        )

    # The client generates this id.
    makes_ids = {"Mutation.projectCreate"}
    names_people_to_be = {"Mutation.userRegister", "Mutation.accountUpdate"}
    # Profiles are public; the heir of tasks must be able to see them (`test_structure`).
    names_profiles = {"Mutation.accountDelete"}
    wanted = {
        path
        for path, field in addressable().items()
        if any(addressed(name, argument) for name, argument in field.args.items())
    }
    exempt = makes_ids | names_people_to_be | names_profiles
    assert sorted(wanted - {case.path for case in CASES} - exempt) == []


@pytest.mark.parametrize("name", BY_NAME)
async def test_case(cast: Cast, name: str) -> None:
    case = BY_NAME[name]
    found: dict[str, str] = {}
    for role in AccessRole:
        fixtures = await cast.fixtures()
        reply = await ask(cast, case, role, case.variables(fixtures))
        found[role.name] = outcome(case, reply)
        if found[role.name] in {"NOT_FOUND", "EMPTY"} and role not in case.ok:
            await same_as_nothing(cast, case, role, fixtures, reply)
        if case.path.startswith("Mutation.") and found[role.name] == "OK":
            cast.clear()
            await mend(cast, case)
    assert found == {role.name: case.expected(role) for role in AccessRole}


async def ask(cast: Cast, case: Case, role: AccessRole, variables: dict[str, Any]) -> Reply:
    if case.path.startswith("Subscription."):
        return await cast.world.first_delivery(case.document, cast.of(role), **variables)
    if case.files is not None:
        return await uploads.send(
            cast.world.http, cast.of(role), case.document, variables, dict(case.files)
        )
    return await cast.world.post(case.document, cast.of(role), **variables)


def outcome(case: Case, reply: Reply) -> str:
    """The outcome, as one word."""
    if reply.codes:
        return reply.codes[0]
    (value,) = reply.data.values()
    if case.path.startswith("Viewer."):
        if value is None:
            # Signed out: null, without an error.
            return "UNAUTHENTICATED"
        (value,) = value.values()
    if isinstance(value, dict) and "nodes" in value:
        if not value["nodes"]:
            # A count that includes hidden rows would be an answer too.
            assert value.get("totalCount", 0) == 0
            return "EMPTY"
        return "OK"
    if value in ([None], {"total": 0}):
        return "EMPTY"
    assert value is not None
    return "OK"


async def same_as_nothing(
    cast: Cast, case: Case, role: AccessRole, fixtures: Fixtures, reply: Reply
) -> None:
    """The answer for a hidden object equals that for a missing one, byte for byte."""
    assert case.about is not None
    # All users are visible: the new assignee is the one who cannot see the task.
    hidden = fixtures.ids["task" if "assign" in case.name else case.about]
    nothing = absent(hidden)
    told = orjson.dumps(case.variables(fixtures)).replace(hidden.encode(), nothing.encode())
    other = await ask(cast, case, role, orjson.loads(told))
    assert reply.status == other.status
    assert anonymous(reply.body, hidden) == anonymous(other.body, nothing)


async def mend(cast: Cast, case: Case) -> None:
    """Undo the administrator's changes of the bystander."""
    if case.name == "Mutation.adminUserDeactivate":
        await cast.world.post(
            BY_NAME["Mutation.adminUserActivate"].document,
            cast.of(AccessRole.ADMINISTRATOR),
            input={"id": (await cast.fixtures()).target},
        )


@pytest.mark.parametrize("path", sorted(set(root_fields()) - PUBLIC))
async def test_a_signed_out_client_learns_nothing(cast: Cast, path: str) -> None:
    """For any arguments, the answer without credentials is always the same."""
    kind, _, name = path.partition(".")
    field = root_fields()[path]
    arguments = {
        argument: sample(taken.type)
        for argument, taken in field.args.items()
        if is_non_null_type(taken.type)
    }
    names = ", ".join(f"${argument}: {field.args[argument].type}" for argument in arguments)
    passed = ", ".join(f"{argument}: ${argument}" for argument in arguments)
    leaf = is_leaf_type(get_named_type(field.type))
    document = (
        f"{kind.lower()} {f'({names})' if names else ''} "
        f"{{ {name}{f'({passed})' if passed else ''} {'' if leaf else '{ __typename }'} }}"
    )
    files = {
        f"variables.{argument}.{inner}": ("a.txt", b"words")
        for argument, value in arguments.items()
        if isinstance(value, dict)
        for inner, given in value.items()
        if given is None
    }
    if files:
        reply = await uploads.send(cast.world.http, None, document, arguments, files)
    else:
        told = cast.world.first_delivery if kind == "Subscription" else cast.world.post
        reply = await told(document, None, **arguments)
    assert reply.codes == ["UNAUTHENTICATED"]
    assert not reply.data or not any(reply.data.values())


def sample(type_: Any) -> Any:
    """A value of an input type: only its required fields, or one of the optional ones."""
    if is_non_null_type(type_):
        return sample(type_.of_type)
    if is_list_type(type_):
        return [sample(type_.of_type)]
    if is_input_object_type(type_):
        if type_.extensions["strawberry-definition"].is_one_of:
            name, field = next(iter(type_.fields.items()))
            return {name: sample(field.type)}
        return {
            name: sample(field.type)
            for name, field in type_.fields.items()
            if isinstance(field.type, GraphQLNonNull)
        }
    if is_enum_type(type_):
        return next(iter(type_.values))
    assert is_leaf_type(type_)
    samples: dict[str, Any] = {
        "ID": "task_" + "0" * 32,
        "Int": 1,
        "Seconds": 1,
        "Boolean": True,
        "DateTime": "2026-11-20T00:00:00Z",
        "Date": "2026-11-20",
        # Where the file of a multipart request is inserted.
        "Upload": None,
    }
    return samples.get(type_.name, "x")
