"""Whatever is wrong with an input is said at once, in the schema's names and order.

The inputs are generated from the schema: every field that has a rule gets a value that breaks it.
What breaks a rule is written down here by hand, by the names of fields and scalars.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from graphql import (
    GraphQLSchema,
    get_named_type,
    is_enum_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
)

from graph.schema import schema
from tests.accounts import Person
from tests.factories import World

SCHEMA: GraphQLSchema = schema._schema
MUTATIONS = SCHEMA.mutation_type.fields if SCHEMA.mutation_type else {}

# No value of these breaks a rule by itself: they are looked up, or anything may be written there.
FREE = {
    "login",
    "SessionCreateInput.password",
    "AccountDeleteInput.password",
    "EmailChangeRequestInput.password",
    "currentPassword",
    "refreshToken",
    "code",
    "ifVersion",
    "csv",
    "search",
    "until",
    "DeviceCreateInput.platform",
    "DeviceRefInput.token",
    "EmailProofInput.token",
    "EmailVerifyInput.token",
    "PasswordResetInput.token",
    "PasswordResetRequestInput.email",
}
# The files of these come in another way; a filter is checked by its own rules.
APART = {"attachmentUpload", "avatarUpload"}
LEFT_OUT = {"filter"}

BAD_BY_NAME: dict[str, Any] = {
    "events": [],
    "estimate": -1,
    "duration": -1,
    "overlap": -1,
    "byteSize": 0,
    "offset": 2**31 - 1,
    "ReminderDailyInput.time": "25:00",
    "days": [],
    "channels": [],
    "tags": ["good", "a\x07"],
    "after": "1899-12-31T00:00:00Z",
    "before": "1899-12-31T00:00:00Z",
    "ReminderMonthlyInput.day": 32,
    "payload": "{ kind nothing }",
}
BAD_BY_TYPE: dict[str, Any] = {
    **dict.fromkeys(("String", "Markdown", "URL", "TimeZone", "LocalTime", "Color"), "a\x07"),
    "ID": "no-id",
    "DateTime": "1899-12-31T00:00:00Z",
    "Date": "1750-01-01",
}
BULK = {
    f"{noun}Bulk{verb}" for noun in ("task", "timeEntry") for verb in ("Create", "Update", "Delete")
}
# Where the value is one of a field's own, and not of its type.
MISSING = object()


def bad_value(
    owner: str, name: str, type_: Any, variant: int, required: bool
) -> tuple[Any, list[tuple[str, ...]]]:
    """A value for a field, and the places in it that break a rule; `MISSING` to leave it out."""
    known = BAD_BY_NAME.get(f"{owner}.{name}", BAD_BY_NAME.get(name, MISSING))
    named = get_named_type(type_)
    is_list = is_list_type(type_.of_type if is_non_null_type(type_) else type_)
    if name == "idempotencyKey":
        return "", [(name,)]
    if name in FREE or f"{owner}.{name}" in FREE:
        any_value = 1 if named.name == "Int" else "WEB" if is_enum_type(named) else "x"
        return (any_value, []) if required else (MISSING, [])
    if known is not MISSING:
        inside = isinstance(known, list) and known
        return known, [(name, str(len(known) - 1)) if inside else (name,)]
    if named.name in BAD_BY_TYPE:
        value = BAD_BY_TYPE[named.name]
        return ([value], [(name, "0")]) if is_list else (value, [(name,)])
    if is_input_object_type(named):
        inner, places = bad_input(named, variant)
        if is_list:
            return [inner], [(name, "0", *place) for place in places]
        return inner, [(name, *place) for place in places]
    if not required:
        return MISSING, []
    return (next(iter(named.values)) if is_enum_type(named) else True), []


def bad_input(type_: Any, variant: int) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
    """An input of a type, bad in every field, and the places that break a rule. Where exactly one
    field may be given, the variant's number chooses it.
    """
    value: dict[str, Any] = {}
    places: list[tuple[str, ...]] = []
    fields = list(type_.fields.items())
    if type_.is_one_of:
        fields = [fields[variant % len(fields)]]
    for name, field in fields:
        if name in LEFT_OUT:
            continue
        required = type_.is_one_of or is_non_null_type(field.type)
        given, inside = bad_value(type_.name, name, field.type, variant, required)
        if given is not MISSING:
            value[name] = given
            places += inside
    return value, places


def variants(type_: Any) -> int:
    """How many inputs of a type it takes to try each field of each `@oneOf` input inside it."""
    inner = [
        variants(get_named_type(field.type))
        for name, field in type_.fields.items()
        if name not in LEFT_OUT and is_input_object_type(get_named_type(field.type))
    ]
    return max([len(type_.fields) if type_.is_one_of else 1, *inner])


@dataclass(frozen=True, slots=True)
class Case:
    """An input that is bad in every field, and where."""

    mutation: str
    type: str
    value: dict[str, Any]
    places: list[tuple[str, ...]]

    @property
    def document(self) -> str:
        asked = "{ errors { code path message } }"
        return f"mutation ($input: {self.type}!) {{ it: {self.mutation}(input: $input) {asked} }}"


def cases() -> Iterator[Any]:
    for name, field in MUTATIONS.items():
        if name in APART:
            continue
        type_ = get_named_type(field.args["input"].type)
        for number in range(variants(type_)):
            value, places = bad_input(type_, number)
            if name in BULK:
                # It is about the whole, which is refused before any item is looked at.
                del value["idempotencyKey"], places[0]
            if places:
                yield pytest.param(Case(name, type_.name, value, places), id=f"{name}-{number}")


def free(owner: str, place: tuple[str, ...]) -> bool:
    return place[-1] in FREE or f"{owner}.{place[-1]}" in FREE


@pytest_asyncio.fixture(scope="module")
async def admin(world: World) -> Person:
    return await world.person(is_admin=True)


NAMES = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")


@pytest.mark.parametrize("case", list(cases()))
async def test_every_problem_of_an_input_is_reported(
    world: World, admin: Person, case: Case
) -> None:
    reply = await world.post(case.document, admin, input=case.value)
    assert not reply.errors, reply.errors
    errors = reply.data["it"]["errors"]
    found = [tuple(error["path"][1:]) for error in errors]
    # What is looked up, such as a password, may be wrong on top of that.
    assert [place for place in found if not free(case.type, place)] == case.places[:20], errors
    for error in errors:
        assert error["path"][0] == "input"
        assert not NAMES.findall(error["message"].replace("task_018f", "")), error
