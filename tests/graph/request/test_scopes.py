"""The scopes of API keys: what they open, and what they do not."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from graphql import (
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLObjectType,
)

from auth.scopes import EVENT_SCOPES, LOSS_SCOPES, SCOPES, holds
from graph.request.scope_table import ARGUMENTS, FIELDS, ROOTS, SESSION, TYPES
from graph.request.scopes import complete
from graph.schema import make_schema
from tests.factories import Reply, World, gid
from tests.graph.request.api_keys import MINE, ask, key_of, refused


def test_a_schema_that_declares_no_scope_is_not_built() -> None:
    made = make_schema()._schema
    assert made.query_type is not None
    invoice = GraphQLObjectType("Invoice", {"total": GraphQLField(GraphQLInt)})
    made.type_map["Invoice"] = invoice
    made.type_map["InvoiceFilter"] = GraphQLInputObjectType(
        "InvoiceFilter", {"total": GraphQLInputField(GraphQLInt)}
    )
    made.query_type.fields["invoices"] = GraphQLField(invoice)
    del made.type_map["Task"].fields["commentCount"]  # type: ignore[attr-defined]
    with pytest.raises(TypeError) as refused_:
        complete(made)
    message = str(refused_.value)
    for said in (
        "Invoice declares no scope",
        "InvoiceFilter declares no scope",
        "query invoices declares no scope",
        "there is no Task.commentCount",
    ):
        assert said in message


def test_scopes_in_the_tables_are_scopes() -> None:
    tables = [*ROOTS.values(), TYPES, FIELDS, ARGUMENTS]
    used = {scope for table in tables for scopes in table.values() for scope in scopes}
    assert used - {SESSION} <= SCOPES
    assert {*EVENT_SCOPES.values(), *LOSS_SCOPES.values()} <= SCOPES


@pytest.mark.parametrize(
    ("granted", "needed", "good"),
    [
        ({"read"}, "tasks:read", True),
        ({"read"}, "tasks:write", False),
        ({"write"}, "tasks:read", True),
        ({"write"}, "read", True),
        ({"tasks:write"}, "tasks:read", True),
        ({"tasks:write"}, "time:read", False),
        ({"tasks:read"}, "read", False),
        ({"read", "write"}, "admin:read", False),
        ({"admin:write"}, "admin:read", True),
        ({"admin:read"}, "tasks:read", False),
    ],
)
def test_what_includes_what(granted: set[str], needed: str, good: bool) -> None:
    assert holds(granted, needed) is good


async def test_what_is_outside_the_scopes_is_refused_by_name(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada)
    one = "query ($id: ID!) { task(id: $id) { title assignee { username } } }"
    key = await key_of(world, ada, "tasks:read")
    assert (await ask(world, key, one, id=gid(task))).good["task"]["title"] == "A task"
    write = 'mutation { taskCreate(input: {title: "x"}) { task { id } errors { code } } }'
    assert refused(await ask(world, key, write)) == "tasks:write"
    deep = """
    query ($id: ID!) { task(id: $id) { ...T } } fragment T on Task { comments { nodes { id } } }
    """
    assert refused(await ask(world, key, deep, id=gid(task))) == "comments:read"
    story = "query ($id: ID!) { task(id: $id) { activity { nodes { summary } } } }"
    assert refused(await ask(world, key, story, id=gid(task))) == "events:read"
    assert refused(await ask(world, key, "{ projects { totalCount } }")) == "projects:read"
    node = "query ($id: ID!) { node(id: $id) { id } }"
    assert (await ask(world, key, node, id=gid(task))).good["node"] == {"id": gid(task)}
    (error,) = (await ask(world, key, node, id=gid(await world.project(ada)))).errors
    assert error["extensions"]["scope"] == "projects:read"
    both = "{ serverInfo { name } projects { nodes { id } } }"
    assert refused(await ask(world, key, both)) == "projects:read"
    # A scope that a condition leaves out is asked for all the same.
    skipped = "{ serverInfo { name } projects @skip(if: true) { nodes { id } } }"
    assert refused(await ask(world, key, skipped)) == "projects:read"
    assert (await ask(world, key, "{ viewer { user { username } } serverInfo { name } }")).good
    writer = await key_of(world, ada, "tasks:write")
    assert (await ask(world, writer, write)).good["taskCreate"]["task"]
    assert (await ask(world, writer, one, id=gid(task))).good


FOREIGN_INPUTS = [
    ("comments:read", "TaskFilter", {"comments": {"some": {"body": {"contains": "x"}}}}),
    ("comments:read", "TaskFilter", {"and": [{"not": {"comments": {"none": {"body": {}}}}}]}),
    ("time:read", "TaskFilter", {"timeEntries": {"some": {"description": {"eq": "x"}}}}),
    ("files:read", "TaskFilter", {"attachments": {"some": {"filename": {"eq": "x"}}}}),
    ("projects:read", "TaskFilter", {"project": {"name": {"startsWith": "x"}}}),
    ("projects:read", "[TaskOrder!]", [{"project": {"name": "ASC"}}]),
    ("projects:read", "[TaskOrder!]", {"project": {"name": "ASC"}}),
]


@pytest.mark.parametrize(("scope", "type_", "value"), FOREIGN_INPUTS)
async def test_what_may_not_be_read_may_not_be_searched(
    world: World, scope: str, type_: str, value: Any
) -> None:
    key = await key_of(world, await world.person(), "tasks:read")
    argument = "filter" if type_ == "TaskFilter" else "orderBy"
    literal = re.sub(r'"(\w+)":', r"\1:", json.dumps(value)).replace('"ASC"', "ASC")
    written = f"{{ tasks({argument}: {literal}) {{ totalCount }} }}"
    assert refused(await ask(world, key, written)) == scope
    below = f"{{ viewer {{ assignedTasks({argument}: {literal}) {{ totalCount }} }} }}"
    assert refused(await ask(world, key, below)) == scope
    in_default = f"query ($v: {type_} = {literal}) {{ tasks({argument}: $v) {{ totalCount }} }}"
    assert refused(await ask(world, key, in_default)) == scope
    in_variable = f"query ($v: {type_}) {{ tasks({argument}: $v) {{ totalCount }} }}"
    assert refused(await ask(world, key, in_variable, v=value)) == scope


async def test_what_may_be_read_may_be_searched(world: World) -> None:
    ada = await world.person()
    project = await world.project(ada, name="Bridge")
    await world.task(ada, "here", project_id=project.id)
    key = await key_of(world, ada, "tasks:read", "projects:read")
    text = """
    query ($filter: TaskFilter, $name: StringFilter) {
      a: tasks(filter: $filter, orderBy: [{project: {name: ASC}}]) { totalCount }
      b: tasks(filter: {project: {name: $name}, assignee: {username: {eq: "nobody"}}}) {
        totalCount } }
    """
    name = {"eq": "Bridge"}
    filter_ = {"or": [{"project": {"name": name}}]}
    seen = (await ask(world, key, text, filter=filter_, name=name)).good
    assert (seen["a"]["totalCount"], seen["b"]["totalCount"]) == (1, 0)
    # What is no filter at all is refused as such.
    assert (await ask(world, key, text, filter={"project": 1})).codes == ["BAD_USER_INPUT"]


async def test_no_key_can_do_what_is_about_the_account(world: World) -> None:
    ada = await world.person()
    key = await key_of(world, ada, "read", "write")
    for operation in (
        'mutation { apiKeyCreate(input: {name: "x", scopes: [READ]}) { secret } }',
        'mutation { accountUpdate(input: {fullName: "x"}) { viewer { user { id } } } }',
        "mutation { sessionRevokeOthers(input: {}) { revokedIds } }",
        'mutation { accountDelete(input: {password: "x"}) { deletedId } }',
        MINE,
        "{ viewer { sessions { nodes { id } } } }",
    ):
        assert refused(await ask(world, key, operation)) is None


async def test_broad_scopes_do_not_administrate(world: World) -> None:
    admin, ada = await world.person(is_admin=True), await world.person()
    key = await key_of(world, admin, "read", "write")
    assert refused(await ask(world, key, "{ adminUsers { totalCount } }")) == "admin:read"
    # Nor do they show what only administrators see.
    mail = "query ($id: ID!) { adminUsers(filter: {id: {eq: $id}}) { nodes { email } } }"
    assert refused(await ask(world, key, mail, id=gid(ada))) == "admin:read"
    strong = await key_of(world, admin, "admin:read")
    seen = (await ask(world, strong, mail, id=gid(ada))).good["adminUsers"]["nodes"]
    assert seen == [{"email": ada.email}]


async def test_a_key_hears_of_the_nouns_that_it_may_read(world: World) -> None:
    ada = await world.person()
    since = (await world.post("{ eventCursor }", ada)).good["eventCursor"]
    project = await world.project(ada, name="Bridge")
    task = await world.task(ada, "Rivets", project_id=project.id)
    comment = (
        'mutation ($t: ID!) { commentCreate(input: {taskId: $t, body: "x"}) { errors { code } } }'
    )
    await world.post(comment, ada, t=gid(task))
    asked = """
    query ($since: String!) {
      events(after: $since) { nodes { kind summary
        changes { field ... on TextChange { newText } ... on NodeChange { newId } } } }
      viewer { activityStats { byKind { kind count } } } }
    """

    async def kinds(*scopes: str) -> Reply:
        return await ask(world, await key_of(world, ada, *scopes), asked, since=since)

    alone = (await kinds("events:read")).good
    assert alone == {"events": {"nodes": []}, "viewer": {"activityStats": {"byKind": []}}}
    some = await kinds("events:read", "comments:read")
    (event,) = some.good["events"]["nodes"]
    assert event["kind"] == "COMMENT_CREATED"
    assert event["summary"].endswith("commented on a task")
    (event,) = (await kinds("events:read", "tasks:read")).good["events"]["nodes"]
    assert "Rivets" in event["summary"]
    assert {"field": "project", "newId": gid(project)} not in event["changes"]
    text = (await kinds("read")).body.decode()
    assert all(word in text for word in ("Bridge", "Rivets", "COMMENT_CREATED"))


async def test_whose_time_it_is_stays_closed_to_tasks(world: World) -> None:
    """Sums, filters, orderings and so cursors; and what is private of the account."""
    ada = await world.person()
    key = await key_of(world, ada, "tasks:read", "projects:read")
    for asked, scope in (
        ("{ tasks { nodes { tracked(all: true) } } }", "time:read"),
        ("{ tasks(filter: {tracked: {gt: 1}}) { totalCount } }", "time:read"),
        ("{ tasks(orderBy: [{tracked: ASC}]) { edges { cursor } } }", "time:read"),
        ("{ tasks { nodes { commentCount } } }", "comments:read"),
        ("{ tasks(orderBy: [{attachmentCount: ASC}]) { totalCount } }", "files:read"),
        ("{ projects { nodes { tracked(all: true) } } }", "time:read"),
        ("{ taskStats { commentsPosted } }", "comments:read"),
        ("{ viewer { email } }", "people:read"),
        ("{ viewer { timezone isAdmin } }", "people:read"),
        # By an interface, and by one fragment at two places.
        ("{ tasks { nodes { comments { nodes { ... on Node { id } } } } } }", "comments:read"),
        (
            "{ tasks { nodes { ...F attachments { nodes { ...F } } } } } fragment F on Node { id }",
            "files:read",
        ),
    ):
        assert refused(await ask(world, key, asked)) == scope
