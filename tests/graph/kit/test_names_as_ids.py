"""Wherever a task, a project or a user is expected, its name is taken like its id: `WEB-42`, `WEB`
and `@ada`. A name of nothing, and of something hidden, is answered exactly like the id of nothing.

The inputs are generated from the schema: every field and argument of the type ID. What each of them
names is written down by hand, beside the test of all references.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from graphql import get_named_type, is_non_null_type
from sqlalchemy import update

from db import models
from db.models import Permission
from graph.core import ids
from tests.accounts import Person
from tests.factories import World, fresh_id, gid, new_key
from tests.graph.kit.test_all_problems import SCHEMA
from tests.graph.kit.test_all_references import Case, cases

CASES = [case for case in cases() if not str(case.id).endswith("values")]
# Arguments that take names, beside the inputs of mutations.
ARGUMENTS = {
    "Query.task(id)": "task",
    "Query.project(id)": "project",
    "Query.user(id)": "user",
    "Query.reminderPreview(taskId)": "task",
    "Subscription.projectPresence(projectId)": "project",
}
_ID = re.compile(r"\b([a-z]+(?:_[a-z]+)*)_[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Things:
    """A task, a project and a user, by their ids and by their names."""

    ids: dict[str, str]
    names: dict[str, str]


async def things(world: World, owner: Person) -> Things:
    user = await world.person()
    project = await world.project(owner, editors=[user])
    task = await world.task(owner, project_id=project.id)
    return Things(
        {"task": gid(task), "project": gid(project), "user": gid(user)},
        {
            # In any case.
            "task": f"{project.key.lower()}-{task.number}",
            "project": project.key.lower(),
            "user": f"@{user.username.upper()}",
        },
    )


def names_of_nothing(found: re.Match[str]) -> str:
    names: dict[str, Callable[[], str]] = {
        "task": lambda: f"{new_key()}-1",
        "project": new_key,
        "user": lambda: f"@{fresh_id().hex}",
    }
    return names[found[1]]() if found[1] in names else found[0]


def named(value: Any, name: Callable[[re.Match[str]], str]) -> Any:
    """The value with other names for the ids in it."""
    return json.loads(_ID.sub(name, json.dumps(value)))


@pytest_asyncio.fixture(scope="module")
async def eve(world: World) -> Person:
    return await world.person(is_admin=True)


@pytest_asyncio.fixture(scope="module")
async def hidden(world: World) -> Things:
    return await things(world, await world.person())


@pytest.mark.parametrize("case", CASES)
async def test_a_name_of_nothing_is_answered_as_the_id_of_nothing(
    world: World, eve: Person, hidden: Things, case: Case
) -> None:
    by_id = await world.post(case.document, eve, input=case.value)
    unknown = await world.post(case.document, eve, input=named(case.value, names_of_nothing))
    hide = {one: hidden.names[one] for one in ("task", "project")}
    invisible = await world.post(
        case.document,
        eve,
        input=named(case.value, lambda found: hide.get(found[1], found[0])),
    )
    assert not by_id.errors
    assert unknown.data == by_id.data
    assert invisible.data == by_id.data


@pytest.mark.parametrize("case", CASES)
async def test_a_name_is_taken_like_the_id(world: World, case: Case) -> None:
    answers = []
    for kind in ("ids", "names"):
        # Both in the same state: what is done to the one is not done to the other.
        owner = await world.person(is_admin=True)
        given = getattr(await things(world, owner), kind)
        value = named(case.value, lambda found: given.get(found[1], found[0]))  # noqa: B023
        reply = await world.post(case.document, owner, input=value)
        assert not reply.errors
        errors = reply.data["it"]["errors"]
        answers.append([(error["code"], error["path"]) for error in errors])
    assert answers[1] == answers[0]


@pytest.mark.parametrize("case", CASES)
async def test_other_things_have_no_names(world: World, eve: Person, case: Case) -> None:
    value = named(
        case.value,
        lambda found: found[0] if found[1] in {"task", "project", "user"} else "WEB-42",
    )
    reply = await world.post(case.document, eve, input=value)
    codes = {tuple(error["path"][1:]): error["code"] for error in reply.data["it"]["errors"]}
    for place in case.references:
        inner: Any = value
        for part in place:
            inner = inner[int(part) if part.isdigit() else part]
        if inner == "WEB-42":
            assert codes[place] == "BAD_USER_INPUT", place


def arguments() -> list[Any]:
    found = []
    for type_ in (SCHEMA.query_type, SCHEMA.subscription_type):
        assert type_ is not None
        for name, field in type_.fields.items():
            for arg, argument in field.args.items():
                if get_named_type(argument.type).name == "ID":
                    more = ", $rule: ReminderRuleInput!" if "rule" in field.args else ""
                    given = ", rule: $rule" if more else ""
                    below = (
                        ""
                        if not hasattr(get_named_type(field.type), "fields")
                        else "{ __typename }"
                    )
                    kind = "subscription" if type_ is SCHEMA.subscription_type else "query"
                    is_list = str(argument.type).startswith("[")
                    document = (
                        f"{kind} ($x: {argument.type}{more}) "
                        f"{{ it: {name}({arg}: $x{given}) {below} }}"
                    )
                    place = f"{type_.name}.{name}({arg})"
                    found.append(pytest.param(place, document, is_list, bool(more), id=place))
                    assert is_non_null_type(argument.type) or more
    return found


@pytest.mark.parametrize(("place", "document", "is_list", "has_rule"), arguments())
async def test_arguments(
    world: World, eve: Person, hidden: Things, *, place: str, document: str, is_list: bool,
    has_rule: bool,
) -> None:  # fmt: skip
    own = await things(world, eve)
    more = {"rule": {"due": {"offset": -300}}} if has_rule else {}
    ask = world.post
    if document.startswith("subscription"):

        async def ask(query: str, person: Person | None, /, **variables: Any) -> Any:
            return await anext(world.deliveries(query, person, **variables))

    for kind in ("task", "project", "user"):
        for thing, codes in ((own, []), (hidden, ["NOT_FOUND"])):
            value = thing.names[kind]
            reply = await ask(document, eve, x=[value] if is_list else value, **more)
            if ARGUMENTS.get(place) != kind:
                assert reply.codes == ["BAD_USER_INPUT"], value
            elif (thing, kind) != (hidden, "user"):
                assert reply.codes == codes, value


# --- beside the generated ones -------------------------------------------------------------------


async def test_filters_say_that_they_take_ids_only(world: World, eve: Person) -> None:
    tasks = "query ($filter: TaskFilter) { tasks(filter: $filter) { totalCount } }"
    for filter_ in ({"id": {"eq": "WEB-42"}}, {"project": {"id": {"in": ["WEB"]}}}):
        reply = await world.post(tasks, eve, filter=filter_)
        (error,) = reply.errors
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert "Only IDs are accepted here" in error["message"]


async def test_a_bulk_looks_all_names_up_at_once(world: World) -> None:
    owner = await world.person()
    project = await world.project(owner)
    made = await world.tasks(owner, [str(n) for n in range(20)], project_id=project.id)
    bulk = """
    mutation ($items: [TaskBulkUpdateItem!]!, $dry: Boolean! = false) {
      taskBulkUpdate(input: {items: $items, dryRun: $dry}) { validCount errors { code path } }
    }
    """
    names = [f"{project.key}-{task.number}" for task in made]
    by_id, by_name = ([gid(task) for task in made], gid(owner)), (names, f"@{owner.username}")
    numbers = []
    # The first request of a session does more.
    for tasks, assignee in (by_id, by_id, by_name):
        items = [{"id": task, "assigneeId": assignee} for task in tasks]
        with world.heard() as statements:
            reply = await world.post(bulk, owner, items=items, dry=True)
        assert reply.good["taskBulkUpdate"]["validCount"] == 20
        numbers.append(len(statements))
    # One for the tasks, one for the users.
    assert numbers[2] == numbers[1] + 2
    items = [{"id": name} for name in (names[0], f"{project.key}-98", f"{project.key}-99")]
    reply = await world.post(bulk, owner, items=[*items, {"id": gid(made[0])}])
    # Two names of nothing are not one task, and a name and an id are.
    assert [
        (error["code"], error["path"][2]) for error in reply.data["taskBulkUpdate"]["errors"]
    ] == [("NOT_FOUND", "1"), ("NOT_FOUND", "2"), ("BAD_USER_INPUT", "3")]


async def test_what_is_in_the_trash_has_its_name(world: World) -> None:
    owner, member = await world.people(2)
    project = await world.project(owner, editors=[member])
    task = await world.task(owner, project_id=project.id)
    name = f"{project.key}-{task.number}"
    for noun, value, field, ids_ in (
        ("task", name, "deletedIds", [gid(task)]),
        ("project", project.key, "deletedId", gid(project)),
    ):
        delete = f"mutation ($id: ID!) {{ {noun}Delete(input: {{id: $id}}) {{ {field} }} }}"
        restore = (
            f"mutation ($id: ID!) {{ {noun}Restore(input: {{id: $id}}) "
            f"{{ {noun} {{ id }} errors {{ code }} }} }}"
        )
        deleted = await world.post(delete, owner, id=value)
        assert deleted.good[f"{noun}Delete"][field] == ids_
        assert (await world.post(restore, member, id=value)).codes == ["NOT_FOUND"]
        assert (await world.post(restore, owner, id=value)).good[f"{noun}Restore"][noun]
        # What is not in the trash is not found there.
        assert (await world.post(restore, owner, id=value)).codes == ["NOT_FOUND"]


async def test_a_task_has_no_name_for_those_who_cannot_see_its_project(world: World) -> None:
    owner, guest = await world.people(2)
    project = await world.project(owner)
    task = await world.task(owner, project_id=project.id)
    await world.share(task, guest, Permission.EDIT)
    reading = "query ($id: ID!) { task(id: $id) { id identifier } }"
    shown = (await world.post(reading, guest, id=gid(task))).good["task"]
    assert shown == {"id": gid(task), "identifier": None}
    name = f"{project.key}-{task.number}"
    assert (await world.post(reading, guest, id=name)).codes == ["NOT_FOUND"]
    changing = """mutation ($id: ID!) {
      taskUpdate(input: {id: $id, title: "x"}) { errors { code } }
    }"""
    assert (await world.post(changing, guest, id=name)).codes == ["NOT_FOUND"]
    assert (await world.post(changing, owner, id=name)).codes == []


async def test_a_key_says_nothing_of_projects_that_it_may_not_read(world: World) -> None:
    owner = await world.person()
    own = await things(world, owner)
    make = """
    mutation ($scopes: [ApiKeyScope!]!) {
      apiKeyCreate(input: {name: "bot", scopes: $scopes}) { secret errors { code } }
    }
    """
    complete = "mutation ($id: ID!) { it: taskComplete(input: {id: $id}) { errors { code } } }"
    for granted, codes in (
        (["TASKS_WRITE"], ["FORBIDDEN"]),
        (["TASKS_WRITE", "PROJECTS_READ"], []),
    ):
        made = await world.post(make, owner, scopes=granted)
        bot = f"Bearer {made.good['apiKeyCreate']['secret']}"
        for name in (own.names["task"], f"{new_key()}-1"):
            response = await world.http.post(
                "/graphql",
                json={"query": complete, "variables": {"id": name}},
                headers={"Authorization": bot},
            )
            (answer,) = response.json()["data"].values()
            found = [error["code"] for error in answer["errors"]]
            assert found == (codes if name == own.names["task"] else codes or ["NOT_FOUND"])


async def test_a_repeat_is_answered_although_the_name_is_gone(world: World) -> None:
    owner = await world.person()
    project = await world.project(owner)
    task = await world.task(owner, project_id=project.id)
    complete = """
    mutation ($id: ID!) {
      taskComplete(input: {id: $id, idempotencyKey: "k"}) { replayed task { id } errors { code } }
    }
    """
    name = f"{project.key}-{task.number}"
    first = (await world.post(complete, owner, id=name)).good["taskComplete"]
    async with world.database.session() as session, session.begin():
        await session.execute(
            update(models.Project).where(models.Project.id == project.id).values(key=new_key())
        )
    again = (await world.post(complete, owner, id=name)).good["taskComplete"]
    assert again == first | {"replayed": True}
    assert (await world.post(complete.replace('"k"', '"l"'), owner, id=name)).codes == ["NOT_FOUND"]


async def test_a_new_id_is_no_name(world: World, eve: Person) -> None:
    create = """
    mutation ($id: ID!) { taskCreate(input: {id: $id, title: "x"}) { errors { code path } } }
    """
    reply = await world.post(create, eve, id="WEB-42")
    assert reply.codes == ["BAD_USER_INPUT"]
    assert ids.name_of("task_018f3a1c5b7e7d3e8f00112233445566") is None
