"""Inputs and commands that do not match are refused when they are imported."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import pytest
import strawberry

from db import models
from domain import rules
from errors import BadInput, collecting
from graph.core.inputs import MutationInput, UpdateInput, change, optional, required
from graph.kit.commands import UnusedFieldError, arguments_of, changes_of
from tests.factories import fresh_id


@dataclass(frozen=True)
class New:
    """What the domain takes."""

    name: str
    color: str | None = "#ffffff"
    owner_id: UUID | None = None
    task_ids: tuple[UUID, ...] = ()
    id: UUID | None = None


@strawberry.input
class Input(MutationInput):
    """What a client may send."""

    name: str = required("")
    color: str | None = optional("")
    owner_id: strawberry.ID | None = optional("")
    task_ids: list[strawberry.ID] | None = optional("")
    id: strawberry.ID | None = optional("")


@strawberry.input
class Update(UpdateInput):
    """What a client may change."""

    id: strawberry.ID = required("")
    name: strawberry.Maybe[str | None] = change("")
    color: str | None = optional("")
    owner_id: strawberry.Maybe[strawberry.ID | None] = change("")


IDS = {"id": models.Project, "owner_id": models.User, "task_ids": models.Task}
USER, TASK, PROJECT = fresh_id(), fresh_id(), fresh_id()


def test_fields_are_read_by_name() -> None:
    read = arguments_of(Input, New, ids=IDS)
    data = Input(
        name="Garden",
        owner_id=strawberry.ID(f"user_{USER.hex}"),
        task_ids=[strawberry.ID(f"task_{TASK.hex}")],
        id=strawberry.ID(f"project_{PROJECT.hex}"),
    )
    assert New(**read(data)) == New("Garden", "#ffffff", USER, [TASK], PROJECT)  # type: ignore[arg-type]


def test_null_keeps_the_default_of_what_is_new() -> None:
    read = arguments_of(Input, New, ids=IDS)
    assert New(**read(Input(name="Garden", color=None, id=None))) == New("Garden")


def test_a_field_that_the_domain_lacks_is_refused() -> None:
    @strawberry.input
    class More(Input):
        effort: int | None = optional("")

    with pytest.raises(UnusedFieldError, match=r"More has \['effort'\], which New does not have"):
        arguments_of(More, New, ids=IDS)


@pytest.mark.parametrize("name", sorted(IDS))
def test_an_id_of_no_known_type_is_refused(name: str) -> None:
    ids = {field: model for field, model in IDS.items() if field != name}
    with pytest.raises(UnusedFieldError, match=name):
        arguments_of(Input, New, ids=ids)


def test_changes_are_what_was_given() -> None:
    read = changes_of(Update, {"name", "color", "owner_id"}, ids=IDS)
    id_ = strawberry.ID("project_1")
    assert read(Update(id=id_)) == {}
    cleared = Update(id=id_, name=strawberry.Some(None), color=None)
    assert read(cleared) == {"name": None, "color": None}
    given = Update(id=id_, owner_id=strawberry.Some(strawberry.ID(f"user_{USER.hex}")))
    assert read(given) == {"owner_id": USER}


def test_a_change_that_the_domain_cannot_make_is_refused() -> None:
    with pytest.raises(UnusedFieldError, match=r"Update has \['color'\]"):
        changes_of(Update, {"name", "owner_id"}, ids=IDS)
    changes_of(Update, {"name", "owner_id"}, ids=IDS, options=("color",))


def test_a_bad_id_in_a_list_has_its_place() -> None:
    read = arguments_of(Input, New, ids=IDS)
    data = Input(name="x", task_ids=[strawberry.ID(f"task_{TASK.hex}"), strawberry.ID("nonsense")])
    with pytest.raises(BadInput) as raised, collecting():
        read(data)
    assert raised.value.path == ("task_ids", "1")


def test_a_command_with_a_field_that_nothing_uses_is_refused() -> None:
    table: dict[str, rules.Rule] = {"name": rules.not_null, "color": rules.color}
    rules.demand_all_used(New, table, ("id", "owner_id", "task_ids"))
    with pytest.raises(TypeError, match=r"New has \['owner_id'\], which nothing uses"):
        rules.demand_all_used(New, table, ("id", "task_ids"))
