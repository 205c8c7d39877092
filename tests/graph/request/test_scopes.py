"""API keys: what they open, what they do not, and how they end."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import pytest
from graphql import (
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLObjectType,
)
from sqlalchemy import func, select

from auth.scopes import EVENT_SCOPES, LOSS_SCOPES, SCOPES, ApiKeyScope, holds
from db import models
from domain.accounts import api_key as api_keys
from errors import ErrorCode, Failure, Unauthenticated
from graph.request.scope_table import ARGUMENTS, FIELDS, OWN, ROOTS, SESSION, TYPES
from graph.request.scopes import complete
from graph.schema import make_schema
from tests.accounts import Person
from tests.factories import Reply, World, gid

CREATE = """
mutation ($input: ApiKeyCreateInput!) { apiKeyCreate(input: $input) {
  secret replayed errors { code path }
  apiKey { id name prefix scopes projects { id } isActive expiresAt lastUsedAt revokedAt } } }
"""
REVOKE = """
mutation ($id: ID!) { apiKeyRevoke(input: {id: $id}) { apiKey { revokedAt } errors { code } } }
"""
MOVE = """
mutation ($id: ID!, $p: ID) {
  taskMove(input: {id: $id, projectId: $p}) { task { id } errors { code } } }
"""
MINE = "{ viewer { apiKeys { nodes { id name prefix lastUsedAt } } } }"

# What of changes has names or IDs in it.
CHANGED = """
fragment Changed on Event {
  changes {
    field
    ... on TextChange { oldText newText }
    ... on NodeChange { oldId newId oldNode { id } newNode { id } }
  }
}"""


async def made(world: World, person: Person, *scopes: str, **more: Any) -> dict[str, Any]:
    values = {"name": "CI", "scopes": [ApiKeyScope(scope).name for scope in scopes], **more}
    reply = await world.post(CREATE, person, input=values)
    payload: dict[str, Any] = reply.good["apiKeyCreate"]
    return payload


async def key_of(world: World, person: Person, *scopes: str, **more: Any) -> str:
    text: str = (await made(world, person, *scopes, **more))["secret"]
    return text


async def ask(world: World, key: str, query: str, **variables: Any) -> Reply:
    await world.settle(query)
    response = await world.http.post(
        "/graphql",
        json={"query": query, "variables": variables},
        headers={"Authorization": f"Bearer {key}"},
    )
    return Reply.of(response.content, response.status_code)


def refused(reply: Reply) -> str | None:
    """The scope that a refusal names."""
    assert (reply.status, reply.codes) == (403, ["FORBIDDEN"]), reply.body
    assert "data" not in reply.body.decode()
    scope: str | None = reply.errors[0]["extensions"].get("scope")
    return scope


# --- the tables ----------------------------------------------------------------------------------


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


# --- keys ----------------------------------------------------------------------------------------


async def test_a_key_is_shown_once(world: World) -> None:
    ada, bob = await world.people(2)
    values = {"name": "CI", "scopes": ["TASKS_READ", "READ"], "idempotencyKey": "one"}
    first = (await world.post(CREATE, ada, input=values)).good["apiKeyCreate"]
    assert first["secret"].startswith(first["apiKey"]["prefix"])
    assert len(first["apiKey"]["prefix"]) == 11
    assert first["apiKey"]["scopes"] == ["READ", "TASKS_READ"]
    again = (await world.post(CREATE, ada, input=values)).good["apiKeyCreate"]
    assert (again["secret"], again["replayed"]) == (None, True)
    listed = (await world.post(MINE, ada)).good["viewer"]["apiKeys"]["nodes"]
    assert [key["prefix"] for key in listed] == [first["apiKey"]["prefix"]]
    # Nobody else sees it, nor can revoke it.
    assert (await world.post(MINE, bob)).good["viewer"]["apiKeys"]["nodes"] == []
    assert (await world.post(REVOKE, bob, id=first["apiKey"]["id"])).codes == ["NOT_FOUND"]
    # It is in no table and no event.
    async with world.database.session() as session:
        dump = (await session.execute(text_of_everything(), {"key": first["secret"]})).scalar()
    assert dump == 0


def text_of_everything() -> Any:
    from sqlalchemy import text

    return text(
        "SELECT (SELECT count(*) FROM api_keys k WHERE k::text LIKE '%' || :key || '%')"
        " + (SELECT count(*) FROM events e WHERE e::text LIKE '%' || :key || '%')"
        " + (SELECT count(*) FROM idempotency_keys i WHERE i::text LIKE '%' || :key || '%')"
    )


async def test_bad_keys_are_not_made(world: World) -> None:
    ada = await world.person()

    async def errors(**values: Any) -> list[tuple[str, str]]:
        given = {"name": "CI", "scopes": ["READ"], **values}
        reply = await world.post(CREATE, ada, input=given)
        return [
            (error["code"], ".".join(error["path"][1:]))
            for error in reply.data["apiKeyCreate"]["errors"]
        ]

    assert await errors(name=" ") == [("BAD_USER_INPUT", "name")]
    assert await errors(scopes=[]) == [("BAD_USER_INPUT", "scopes")]
    assert await errors(scopes=["ADMIN_READ"]) == [("FORBIDDEN", "scopes.0")]
    assert await errors(expiresAt="2020-01-01T00:00:00Z") == [("BAD_USER_INPUT", "expiresAt")]
    assert await errors(projectIds=[]) == [("BAD_USER_INPUT", "projectIds")]
    hidden = await world.project(await world.person())
    assert await errors(projectIds=[gid(hidden)]) == [("NOT_FOUND", "projectIds.0")]


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


OWN_KEY = """
{ viewer { credentials {
  session { id user { username } } scopes expiresAt
  apiKey { ...K } projects { id __typename }
} } }
fragment K on ApiKey { id name prefix scopes isActive expiresAt }
"""


@pytest.mark.parametrize("scope", ["tasks:read", "webhooks:write", "admin:read"])
async def test_any_key_reads_its_own_credentials(world: World, scope: str) -> None:
    ada = await world.person(is_admin=True)
    soon = "2190-01-01T00:00:00Z"
    key = await made(world, ada, scope, expiresAt=soon)
    own = (await ask(world, key["secret"], OWN_KEY)).good["viewer"]["credentials"]
    assert own == {
        "session": None,
        "scopes": [ApiKeyScope(scope).name],
        "expiresAt": soon,
        "projects": None,
        "apiKey": {
            "id": key["apiKey"]["id"],
            "name": "CI",
            "prefix": key["apiKey"]["prefix"],
            "scopes": [ApiKeyScope(scope).name],
            "isActive": True,
            "expiresAt": soon,
        },
    }


async def test_a_session_reads_its_own_credentials(world: World) -> None:
    ada = await world.person()
    own = (await world.post(OWN_KEY, ada)).good["viewer"]["credentials"]
    assert (own["apiKey"], own["scopes"], own["projects"]) == (None, None, None)
    assert own["session"]["user"] == {"username": ada.username}
    assert own["expiresAt"] is not None


async def test_a_key_reads_the_ids_of_its_projects_and_no_more(world: World) -> None:
    ada = await world.person()
    first, second = await world.project(ada, name="One"), await world.project(ada, name="Two")
    both = [gid(first), gid(second)]
    key = await key_of(world, ada, "tasks:read", projectIds=both)
    own = (await ask(world, key, OWN_KEY)).good["viewer"]["credentials"]
    assert [project["id"] for project in own["projects"]] == both
    named = "{ viewer { credentials { projects { id name } } } }"
    assert refused(await ask(world, key, named)) == "projects:read"
    reader = await key_of(world, ada, "tasks:read", "projects:read", projectIds=both)
    seen = (await ask(world, reader, named)).good["viewer"]["credentials"]["projects"]
    assert [project["name"] for project in seen] == ["One", "Two"]
    listed = "{ viewer { apiKeys { nodes { projects { name } } } } }"
    for node in (await world.post(listed, ada)).good["viewer"]["apiKeys"]["nodes"]:
        assert [project["name"] for project in node["projects"]] == ["One", "Two"]


async def test_only_its_own_credentials_are_free_for_a_key(world: World) -> None:
    """By the position, even if the same fragment is also spread at other keys and sessions."""
    ada = await world.person()
    key = await key_of(world, ada, "read")
    for elsewhere in ("apiKeys { nodes { ...K } }", "sessions { nodes { ...S } }"):
        document = f"""
        {{ viewer {{
          credentials {{ apiKey {{ ...K }} session {{ ...S }} }}
          {elsewhere}
        }} }}
        fragment K on ApiKey {{ id name }}
        fragment S on Session {{ id ip }}
        """
        reply = await ask(world, key, document)
        assert (reply.status, reply.codes) == (403, ["FORBIDDEN"])
    assert {place.split(".")[0] for place in OWN} == {"Credentials"}


async def test_a_key_ends(world: World) -> None:
    ada = await world.person()
    asked = "{ viewer { user { username } } }"
    payload = await made(world, ada, "read")
    assert (await ask(world, payload["secret"], asked)).good
    await world.post(REVOKE, ada, id=payload["apiKey"]["id"])
    reply = await ask(world, payload["secret"], asked)
    assert (reply.status, reply.codes) == (401, ["UNAUTHENTICATED"])
    # Safe to repeat.
    assert (await world.post(REVOKE, ada, id=payload["apiKey"]["id"])).good
    for wrong in ("tl_", "tl_" + "x" * 43, "tl_" + "x" * 500):
        assert (await ask(world, wrong, asked)).codes == ["UNAUTHENTICATED"]


async def test_the_use_is_noted(world: World) -> None:
    ada = await world.person()
    key = await key_of(world, ada, "read")
    await ask(world, key, "{ viewer { user { username } } }")
    (shown,) = (await world.post(MINE, ada)).good["viewer"]["apiKeys"]["nodes"]
    assert shown["lastUsedAt"] is not None


async def test_expiry_and_deactivation(world: World) -> None:
    """With a process of its own, whose clock can be moved."""
    house = type(world.house)(world.house.settings, world.database)
    ada = await house.person()
    soon = (house.clock() + dt.timedelta(hours=1)).isoformat()
    key = await key_of(world, ada, "read", expiresAt=soon)
    viewer = await house.auth.viewer(f"Bearer {key}")
    assert viewer.user_id == ada.id
    assert await house.auth.still_valid(viewer.credentials)
    house.clock.forward(minutes=61)
    with pytest.raises(Unauthenticated, match="expired"):
        await house.auth.viewer(f"Bearer {key}")
    assert not await house.auth.still_valid(viewer.credentials)
    house.auth.close()


# --- restricted keys -----------------------------------------------------------------------------


async def test_a_restricted_key_sees_its_projects_and_nothing_else(world: World) -> None:
    ada, bob = await world.people(2)
    inside = await world.project(ada, name="Inside", editors=[bob])
    outside = await world.project(ada, name="Outside")
    here = await world.task(ada, "here", project_id=inside.id, assignee_id=bob.id)
    there = await world.task(ada, "there", project_id=outside.id)
    personal = await world.task(ada, "personal")
    key = await key_of(world, ada, "read", "write", projectIds=[gid(inside)])
    everything = """
    { projects { nodes { name } totalCount }
      tasks { nodes { title assignee { username } project { name } } totalCount }
      taskStats { total }
      search(query: "here there personal Inside Outside") { totalCount }
      viewer { activity { nodes { project { name } } } } }
    """
    seen = (await ask(world, key, everything)).good
    assert [row["name"] for row in seen["projects"]["nodes"]] == ["Inside"]
    assert seen["projects"]["totalCount"] == 1
    (task,) = seen["tasks"]["nodes"]
    assert task == {
        "title": "here", "assignee": {"username": bob.username}, "project": {"name": "Inside"}
    }  # fmt: skip
    assert seen["taskStats"]["total"] == 1
    assert {row["project"]["name"] for row in seen["viewer"]["activity"]["nodes"]} <= {"Inside"}
    one = "query ($id: ID!) { task(id: $id) { id } }"
    assert (await ask(world, key, one, id=gid(here))).good["task"]
    for hidden in (there, personal):
        assert (await ask(world, key, one, id=gid(hidden))).codes == ["NOT_FOUND"]


async def test_statistics_kept_for_a_person_are_not_those_of_a_restricted_key(world: World) -> None:
    ada = await world.person()
    inside = await world.project(ada)
    await world.task(ada, project_id=inside.id)
    await world.task(ada, "personal")
    key = await key_of(world, ada, "tasks:read", projectIds=[gid(inside)])
    asked = "{ taskStats { total } }"
    # Each after the other's answer was kept.
    for _ in range(2):
        assert (await world.post(asked, ada)).good["taskStats"]["total"] == 2
        assert (await ask(world, key, asked)).good["taskStats"]["total"] == 1


async def test_a_restricted_key_changes_nothing_else(world: World) -> None:
    ada = await world.person()
    inside, outside = await world.project(ada), await world.project(ada)
    here = await world.task(ada, project_id=inside.id)
    there = await world.task(ada, project_id=outside.id)
    key = await key_of(world, ada, "write", projectIds=[gid(inside)])

    async def codes(mutation: str, **values: Any) -> list[str]:
        type_ = mutation[0].upper() + mutation[1:] + "Input"
        text = (
            f"mutation ($input: {type_}!) {{ {mutation}(input: $input) {{ errors {{ code }} }} }}"
        )
        return (await ask(world, key, text, input=values)).codes

    assert await codes("taskUpdate", id=gid(here), title="x") == []
    assert await codes("taskCreate", title="x", projectId=gid(inside)) == []
    assert await codes("taskUpdate", id=gid(there), title="x") == ["NOT_FOUND"]
    assert await codes("taskCreate", title="x", projectId=gid(outside)) == ["NOT_FOUND"]
    assert await codes("taskCreate", title="x") == ["FORBIDDEN"]
    assert await codes("taskMove", id=gid(here), projectId=gid(outside)) == ["NOT_FOUND"]
    assert await codes("taskMove", id=gid(here), projectId=None) == ["FORBIDDEN"]
    assert await codes("projectCreate", name="x") == ["FORBIDDEN"]
    assert await codes("taskBulkCreate", items=[{"title": "x"}]) == ["FORBIDDEN"]


async def test_a_restricted_key_hears_of_its_projects_only(world: World) -> None:
    ada = await world.person()
    inside, outside = await world.project(ada), await world.project(ada)
    since = (await world.post("{ eventCursor }", ada)).good["eventCursor"]
    await world.task(ada, "there", project_id=outside.id)
    await world.task(ada, "here", project_id=inside.id)
    key = await key_of(world, ada, "events:read", "tasks:read", projectIds=[gid(inside)])
    text = """
    query ($since: String!) { events(after: $since) { nodes {
      kind subject { ... on Task { title } } } } }
    """
    nodes = (await ask(world, key, text, since=since)).good["events"]["nodes"]
    assert [node["subject"]["title"] for node in nodes] == ["here"]


async def test_keys_work_over_every_transport(world: World, app: Any) -> None:
    ada = await world.person()
    key = await key_of(world, ada, "tasks:read")
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://taskloom.test") as http:
        query = {"query": "subscription { taskEvents { id } }"}
        response = await http.post("/graphql", json=query, headers=headers)
    assert response.status_code == 403
    assert response.json()["errors"][0]["extensions"]["scope"] == "events:read"


async def test_the_history_of_a_task_leaves_a_restricted_key_with_the_task(world: World) -> None:
    ada = await world.person()
    inside, outside = await world.project(ada), await world.project(ada)
    since = (await world.post("{ eventCursor }", ada)).good["eventCursor"]
    moved = await world.task(ada, "secret plan", project_id=inside.id)
    stays = await world.task(ada, "other plan", project_id=inside.id)
    update = """
    mutation ($id: ID!, $t: String!) {
      taskUpdate(input: {id: $id, title: $t}) { task { id } errors { code } } }
    """
    await world.post(update, ada, id=gid(moved), t="secret plan B")
    key = await key_of(world, ada, "read", "write", projectIds=[gid(inside)])
    everything = """
    query ($since: String!, $id: ID!) {
      events(after: $since) { nodes { kind summary subjectId ...Changed } }
      viewer {
        activity { nodes { kind summary subjectId ...Changed } totalCount }
        activityStats { total }
      }
      task(id: $id) { activity { nodes { kind } } } }
    """
    everything += CHANGED
    before = await ask(world, key, everything, since=since, id=gid(stays))
    assert before.good["viewer"]["activityStats"]["total"] == 4
    assert "secret plan" in before.body.decode()
    assert (await world.post(MOVE, ada, id=gid(moved), p=gid(outside))).good
    after = await ask(world, key, everything, since=since, id=gid(stays))
    viewer = after.good["viewer"]
    assert viewer["activityStats"]["total"] == viewer["activity"]["totalCount"] == 3
    assert "secret plan" not in after.body.decode()
    # All that is left is the project's own event, by which programs learn that the task went.
    for part in (after.good["events"], viewer["activity"]):
        nodes = part["nodes"]
        kinds = [node["kind"] for node in nodes if node["subjectId"] == gid(moved)]
        assert kinds == ["TASK_MOVED"]
        assert gid(outside) not in str(nodes)
    event = "query ($id: ID!) { node(id: $id) { ... on Event { summary } } }"
    async with world.database.session() as session:
        past = await session.scalars(select(models.Event).where(models.Event.task_id == moved.id))
        for one in past.all():
            assert (await ask(world, key, event, id=gid(one))).codes == ["NOT_FOUND"]
    # Nor does a stream that begins in the past tell of it.
    program = replace(ada, grant=replace(ada.grant, access_token=key))
    text = """subscription ($a: String) {
      taskEvents(after: $a, filter: {kind: {in: [TASK_CREATED]}}) { summary } }"""
    first = await world.first_delivery(text, program, a=since)
    assert "other plan" in first.good["taskEvents"]["summary"]


async def test_the_history_of_time_leaves_a_restricted_key_with_the_entry(world: World) -> None:
    ada = await world.person()
    inside, outside = await world.project(ada), await world.project(ada)
    create = """
    mutation ($p: ID!) { timeEntryCreate(input: {projectId: $p, description: "secret hours",
      time: {start: {startedAt: "2026-01-05T08:00:00Z", duration: 60}}}) {
        timeEntry { id } errors { code } } }
    """
    made = await world.post(create, ada, p=gid(inside))
    entry = made.good["timeEntryCreate"]["timeEntry"]["id"]
    key = await key_of(world, ada, "read", projectIds=[gid(inside)])
    asked = "{ viewer { activity { nodes { ...Changed subjectId } } } }" + CHANGED
    assert entry in (await ask(world, key, asked)).body.decode()
    move = """
    mutation ($id: ID!, $p: ID) {
      timeEntryUpdate(input: {id: $id, projectId: $p}) { errors { code } } }
    """
    assert (await world.post(move, ada, id=entry, p=gid(outside))).good
    assert entry not in (await ask(world, key, asked)).body.decode()


async def test_statistics_follow_a_task_that_leaves_a_restricted_key(world: World) -> None:
    ada = await world.person()
    inside, outside = await world.project(ada), await world.project(ada)
    task = await world.task(ada, project_id=inside.id)
    key = await key_of(world, ada, "tasks:read", projectIds=[gid(inside)])
    asked = "{ taskStats { total } }"
    for _ in range(2):
        assert (await ask(world, key, asked)).good["taskStats"]["total"] == 1
    assert (await world.post(MOVE, ada, id=gid(task), p=gid(outside))).good
    assert (await ask(world, key, asked)).good["taskStats"]["total"] == 0


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


async def test_the_number_of_keys_holds_for_requests_at_once(world: World) -> None:
    ada = await world.person()
    create = partial(
        world.house.do, ada.viewer, api_keys.create, name="One of many", scopes=["read"]
    )
    for _ in range(api_keys.MOST_KEYS - 2):
        await create()
    made = await asyncio.gather(*(create() for _ in range(8)), return_exceptions=True)
    failures = [one for one in made if isinstance(one, Failure)]
    assert len(failures) == 6
    assert {one.code for one in failures} == {ErrorCode.LIMIT_EXCEEDED}
    async with world.database.session() as session:
        keys = select(func.count()).where(models.ApiKey.user_id == ada.id)
        assert await session.scalar(keys) == api_keys.MOST_KEYS


async def test_a_key_that_has_expired_is_not_counted(world: World) -> None:
    house = type(world.house)(world.house.settings, world.database)
    ada = await house.person()
    soon = house.clock() + dt.timedelta(hours=1)
    create = partial(house.do, ada.viewer, api_keys.create, name="One of many", scopes=["read"])
    for _ in range(api_keys.MOST_KEYS):
        await create(expires_at=soon)
    with pytest.raises(Failure, match="50 active API keys"):
        await create()
    house.clock.forward(hours=2)
    await create()
    house.auth.close()
