"""Webhooks through the API: what is taken, what is refused, and what is never shown again."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from tests.accounts import Person
from tests.factories import World, gid, missing

CREATE = """
mutation ($input: WebhookCreateInput!) { webhookCreate(input: $input) {
  secret replayed errors { code path message }
  webhook {
    id name url filter payload status disabledReason failingSince oldSecretUntil version
  }
} }
"""
UPDATE = """
mutation ($input: WebhookUpdateInput!) { webhookUpdate(input: $input) {
  errors { code path message conflictingFields }
  webhook { id name url filter payload status disabledReason version }
} }
"""
ROTATE = """
mutation ($input: WebhookSecretRotateInput!) { webhookSecretRotate(input: $input) {
  secret errors { code path } webhook { oldSecretUntil version }
} }
"""
TEST = """
mutation ($input: WebhookTestInput!) { webhookTest(input: $input) {
  errors { code path }
  webhookDelivery { id status isTest attemptCount event { id kind } webhook { id } }
} }
"""
RETRY = """
mutation ($input: WebhookDeliveryRetryInput!) { webhookDeliveryRetry(input: $input) {
  errors { code path } webhookDelivery { id status }
} }
"""
REPLAY = """
mutation ($input: WebhookReplayInput!) { webhookReplay(input: $input) {
  errors { code path message } webhook { id } eventCount
} }
"""
URL = "https://hooks.example.com/in"
# A hundred comments, of each a hundred, of each a hundred.
TOO_DEAR = """{
  task { comments(first: 100) { nodes { task { comments(first: 100) { nodes {
    task { comments(first: 100) { nodes { id } } }
  } } } } } }
}"""


@pytest.fixture
async def ada(world: World) -> Person:
    return await world.person()


async def create(world: World, person: Person, **values: Any) -> dict[str, Any]:
    reply = await world.run(CREATE, person, input={"url": URL, **values})
    made: dict[str, Any] = reply.good["webhookCreate"]
    return made


async def refused(world: World, person: Person, **values: Any) -> dict[str, Any]:
    reply = await world.run(CREATE, person, input={"url": URL, **values})
    assert reply.data["webhookCreate"]["webhook"] is None
    (error,) = reply.user_errors
    return error


async def test_a_webhook_is_made_with_a_secret_shown_once(world: World, ada: Person) -> None:
    made = await create(world, ada, idempotencyKey="once")
    assert made["secret"].startswith("whsec_")
    webhook = made["webhook"]
    assert (webhook["status"], webhook["version"], webhook["filter"]) == ("ACTIVE", 1, None)
    assert "kind" in webhook["payload"]
    again = await create(world, ada, idempotencyKey="once")
    assert (again["secret"], again["replayed"]) == (None, True)
    assert again["webhook"]["id"] == webhook["id"]


async def test_the_schema_has_no_way_to_a_secret(world: World, ada: Person) -> None:
    reply = await world.run('{ __type(name: "Webhook") { fields { name } } }', ada)
    names = {field["name"] for field in reply.good["__type"]["fields"]}
    assert {name for name in names if "secret" in name.lower()} == {"oldSecretUntil"}


async def test_a_filter_is_kept_as_it_was_given(world: World, ada: Person) -> None:
    wanted = {
        "kind": {"in": ["TASK_CREATED"]},
        "not": {"actor": {"id": {"eq": gid(ada)}}},
        "task": {"or": [{"title": {"contains": "x"}}, {"dueAt": {"gt": "2026-01-01T00:00:00Z"}}]},
    }
    made = await create(world, ada, filter=wanted)
    assert made["webhook"]["filter"] == wanted


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ("{ nothing }", "BAD_USER_INPUT"),
        ("kind", "BAD_USER_INPUT"),
        ("{ kind", "BAD_USER_INPUT"),
        ("{ kind } } query { viewer { id }", "BAD_USER_INPUT"),
        ("{ kind } query Q { viewer { user { id } } }", "BAD_USER_INPUT"),
        ("mutation { taskDelete }", "BAD_USER_INPUT"),
        ("query ($a: Int) { kind }", "BAD_USER_INPUT"),
        ("{ task { comments(first: $n) { nodes { id } } } }", "BAD_USER_INPUT"),
        ("{ ...F }", "BAD_USER_INPUT"),
        ("{ " + " ".join(f"a{n}: kind" for n in range(50)) + " }", "OPERATION_TOO_COMPLEX"),
        (
            TOO_DEAR,
            "OPERATION_TOO_COMPLEX",
        ),
    ],
)
async def test_payloads_that_cannot_be_made_are_refused(
    world: World, ada: Person, payload: str, code: str
) -> None:
    error = await refused(world, ada, payload=payload)
    assert (error["code"], error["path"]) == (code, ["input", "payload"])


@pytest.mark.parametrize("blank", ["", " \n"])
async def test_a_blank_payload_is_the_default(world: World, ada: Person, blank: str) -> None:
    default = (await create(world, ada))["webhook"]["payload"]
    assert (await create(world, ada, payload=blank))["webhook"]["payload"] == default


async def test_a_payload_may_have_fragments(world: World, ada: Person) -> None:
    text = "{ kind ...F } fragment F on Event { task { title } }"
    assert (await create(world, ada, payload=text))["webhook"]["payload"] == text


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.1/", "https://[::1]/", "https://2130706433/", "https://a:b@example.com/"],
)
async def test_addresses_that_are_not_public_are_refused(
    world: World, ada: Person, url: str
) -> None:
    error = await refused(world, ada, url=url)
    assert (error["code"], error["path"]) == ("BAD_USER_INPUT", ["input", "url"])


async def test_a_filter_that_says_nothing_is_refused(world: World, ada: Person) -> None:
    error = await refused(world, ada, filter={"or": []})
    assert error["path"][:2] == ["input", "filter"]


async def test_a_webhook_is_changed_and_turned_off_and_on(world: World, ada: Person) -> None:
    id_ = (await create(world, ada, filter={"kind": {"eq": "TASK_CREATED"}}))["webhook"]["id"]
    changes = {"id": id_, "filter": None, "payload": "{ kind }", "status": "DISABLED"}
    changed = (await world.run(UPDATE, ada, input=changes)).good["webhookUpdate"]["webhook"]
    assert changed["filter"] is None
    assert (changed["payload"], changed["status"]) == ("{ kind }", "DISABLED")
    assert changed["disabledReason"] == "Its owner disabled it."
    stale = await world.run(UPDATE, ada, input={"id": id_, "status": "ACTIVE", "ifVersion": 1})
    assert stale.codes == ["CONFLICT"]
    assert stale.data["webhookUpdate"]["webhook"]["version"] == 2
    on = await world.run(UPDATE, ada, input={"id": id_, "status": "ACTIVE"})
    assert on.good["webhookUpdate"]["webhook"]["disabledReason"] is None
    private = await world.run(UPDATE, ada, input={"id": id_, "url": "https://10.0.0.1/"})
    assert private.codes == ["BAD_USER_INPUT"]


async def test_a_webhook_is_named_by_its_host_or_by_its_owner(world: World, ada: Person) -> None:
    webhook = (await create(world, ada, url="https://Hooks.example.com:8443/in?x=1"))["webhook"]
    assert webhook["name"] == "hooks.example.com:8443"

    async def changed(**values: Any) -> str:
        reply = await world.run(UPDATE, ada, input={"id": webhook["id"], **values})
        name: str = reply.good["webhookUpdate"]["webhook"]["name"]
        return name

    # It follows the URL until there is another name, and again without one.
    assert await changed(url="https://other.example.com/") == "other.example.com"
    assert await changed(name="  Roses ") == "Roses"
    assert await changed(url=URL) == "Roses"
    assert await changed(name=None) == "hooks.example.com"
    assert await changed(url="https://third.example.com/", name="Tulips") == "Tulips"
    stale = {"id": webhook["id"], "url": URL, "ifVersion": 1}
    conflict = await world.run(UPDATE, ada, input=stale)
    assert conflict.user_errors[0]["conflictingFields"] == ["url"]
    assert (await create(world, ada, name="Roses"))["webhook"]["name"] == "Roses"
    for name in ("", " ", "x" * 101, "a\nb"):
        error = await refused(world, ada, name=name)
        assert (error["code"], error["path"]) == ("BAD_USER_INPUT", ["input", "name"])
        wrong = {"id": webhook["id"], "url": "nonsense", "name": name}
        reply = await world.run(UPDATE, ada, input=wrong)
        paths = {tuple(error["path"]) for error in reply.user_errors}
        assert paths == {("input", "url"), ("input", "name")}


async def test_a_secret_is_rotated(world: World, ada: Person) -> None:
    made = await create(world, ada)
    id_ = made["webhook"]["id"]
    rotated = (await world.run(ROTATE, ada, input={"id": id_})).good["webhookSecretRotate"]
    assert rotated["secret"] != made["secret"]
    assert rotated["webhook"]["oldSecretUntil"] is not None
    ended = await world.run(ROTATE, ada, input={"id": id_, "overlap": 0})
    assert ended.good["webhookSecretRotate"]["webhook"]["oldSecretUntil"] is None
    week = await world.run(ROTATE, ada, input={"id": id_, "overlap": 604800, "ifVersion": 3})
    assert week.good["webhookSecretRotate"]["webhook"]["version"] == 4
    long = await world.run(ROTATE, ada, input={"id": id_, "overlap": 604801})
    assert long.codes == ["BAD_USER_INPUT"]
    stale = await world.run(ROTATE, ada, input={"id": id_, "ifVersion": 1})
    assert stale.codes == ["CONFLICT"]
    assert stale.data["webhookSecretRotate"]["webhook"]["version"] == 4
    assert stale.data["webhookSecretRotate"]["secret"] is None


async def test_at_most_four_former_secrets_are_valid(world: World, ada: Person) -> None:
    id_ = (await create(world, ada))["webhook"]["id"]
    for hours in (168, 24, 1, 1):
        rotated = await world.run(ROTATE, ada, input={"id": id_, "overlap": hours * 3600})
        assert rotated.codes == []
    end = rotated.good["webhookSecretRotate"]["webhook"]["oldSecretUntil"]
    assert dt.datetime.fromisoformat(end) > dt.datetime.now(dt.UTC) + dt.timedelta(hours=160)
    assert (await world.run(ROTATE, ada, input={"id": id_})).codes == ["LIMIT_EXCEEDED"]
    at_once = await world.run(ROTATE, ada, input={"id": id_, "overlap": 0})
    assert at_once.good["webhookSecretRotate"]["webhook"]["oldSecretUntil"] is None


async def test_a_test_is_a_delivery_of_its_own(world: World, ada: Person) -> None:
    id_ = (await create(world, ada))["webhook"]["id"]
    delivery = (await world.run(TEST, ada, input={"id": id_})).good["webhookTest"][
        "webhookDelivery"
    ]
    assert (delivery["status"], delivery["isTest"], delivery["attemptCount"]) == (
        "PENDING",
        True,
        0,
    )
    assert delivery["event"]["kind"] == "WEBHOOK_TESTED"
    assert delivery["webhook"] == {"id": id_}
    query = """
    query ($id: ID!) { webhook(id: $id) { deliveries(filter: {status: {eq: PENDING}}) {
      totalCount nodes { id event { id } attempts { totalCount nodes { id } } }
    } } }
    """
    listed = (await world.run(query, ada, id=id_)).good["webhook"]["deliveries"]
    assert listed["totalCount"] == 1
    assert listed["nodes"][0]["event"]["id"] == delivery["event"]["id"]
    assert listed["nodes"][0]["attempts"] == {"totalCount": 0, "nodes": []}
    again = await world.run(RETRY, ada, input={"id": delivery["id"]})
    assert again.good["webhookDeliveryRetry"]["webhookDelivery"]["id"] == delivery["id"]


@pytest.mark.parametrize(
    ("start", "end", "path"),
    [
        ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", "after"),
        ("2001-01-01T00:00:00Z", "2199-01-01T00:00:00Z", "after"),
    ],
)
async def test_a_replay_has_a_beginning_and_an_end(
    world: World, ada: Person, start: str, end: str, path: str
) -> None:
    id_ = (await create(world, ada))["webhook"]["id"]
    reply = await world.run(REPLAY, ada, input={"id": id_, "after": start, "before": end})
    assert [error["path"] for error in reply.user_errors] == [["input", path]]


async def test_webhooks_are_their_owners_alone(world: World, ada: Person) -> None:
    ben = await world.person()
    id_ = (await create(world, ada))["webhook"]["id"]
    delivery = (await world.run(TEST, ada, input={"id": id_})).good["webhookTest"][
        "webhookDelivery"
    ]["id"]
    listed = "{ viewer { webhooks { totalCount nodes { id } } } }"
    assert (await world.run(listed, ada)).good["viewer"]["webhooks"]["totalCount"] == 1
    assert (await world.run(listed, ben)).good["viewer"]["webhooks"] == {
        "totalCount": 0,
        "nodes": [],
    }
    for document, wanted in (
        ("query ($id: ID!) { node(id: $id) { id } }", id_),
        ("query ($id: ID!) { node(id: $id) { id } }", delivery),
        ("query ($id: ID!) { webhook(id: $id) { id } }", id_),
    ):
        assert (await world.run(document, ben, id=wanted)).codes == ["NOT_FOUND"]
        assert (await world.run(document, ben, id=missing(wanted))).codes == ["NOT_FOUND"]


async def test_a_deleted_webhook_takes_its_deliveries_along(world: World, ada: Person) -> None:
    id_ = (await create(world, ada))["webhook"]["id"]
    delivery = (await world.run(TEST, ada, input={"id": id_})).good["webhookTest"][
        "webhookDelivery"
    ]["id"]
    delete = "mutation ($i: WebhookDeleteInput!) { webhookDelete(input: $i) { deletedId } }"
    gone = await world.run(delete, ada, i={"id": id_})
    assert gone.good["webhookDelete"]["deletedId"] == id_
    node = "query ($id: ID!) { node(id: $id) { id } }"
    assert (await world.run(node, ada, id=delivery)).codes == ["NOT_FOUND"]


async def test_there_can_be_fifty(world: World, ada: Person) -> None:
    for _ in range(50):
        await create(world, ada)
    assert (await refused(world, ada))["code"] == "LIMIT_EXCEEDED"


async def test_lists_take_one_statement_a_relation(world: World, ada: Person) -> None:
    for _ in range(3):
        id_ = (await create(world, ada))["webhook"]["id"]
        await world.run(TEST, ada, input={"id": id_})
    query = "{ viewer { webhooks { nodes { id deliveries { nodes { id event { kind } } } } } } }"
    reply = await world.run(query, ada)
    assert len(reply.good["viewer"]["webhooks"]["nodes"]) == 3
    assert len(reply.statements) == 3


async def test_a_key_makes_no_webhook_that_is_told_more_than_the_key(
    world: World, ada: Person
) -> None:
    """Neither with a payload of its own, nor by sending somebody's payload elsewhere."""
    id_ = (await create(world, ada, payload="{ kind task { title } }"))["webhook"]["id"]
    viewer = replace(ada.viewer, scopes=frozenset({"webhooks:write", "events:read"}))
    for payload, codes in (("{ kind at }", []), ("{ task { title } }", ["FORBIDDEN"])):
        reply = await world.run(
            "mutation ($i: WebhookCreateInput!) { webhookCreate(input: $i) { errors { code } } }",
            viewer,
            i={"url": URL, "payload": payload},
        )
        assert reply.codes == codes
    reply = await world.run(
        "mutation ($i: WebhookUpdateInput!) { webhookUpdate(input: $i) { errors { code } } }",
        viewer,
        i={"id": id_, "url": "https://elsewhere.example.com/"},
    )
    assert reply.codes == ["FORBIDDEN"]
    kept = await world.run("query ($id: ID!) { webhook(id: $id) { url } }", ada, id=id_)
    assert kept.good["webhook"]["url"] == URL


async def test_a_keys_default_payload_tells_of_what_the_key_may_read(
    world: World, ada: Person
) -> None:
    basic = {"webhooks:write", "events:read", "tasks:read", "projects:read"}
    document = """
    mutation ($i: WebhookCreateInput!) {
      webhookCreate(input: $i) { webhook { id payload } errors { code } }
    }
    """
    for more, told, untold in (
        (set(), ["TaskShare", "ProjectMember"], ["Comment", "Attachment", "TimeEntry", "Reminder"]),
        ({"time:write"}, ["TaskShare", "TimeEntry"], ["Comment", "Attachment", "Reminder"]),
        ({"read"}, ["Comment", "Attachment", "TimeEntry", "Reminder"], []),
    ):
        viewer = replace(ada.viewer, scopes=frozenset(basic | more))
        made = (await world.run(document, viewer, i={"url": URL})).good["webhookCreate"]["webhook"]
        assert all(f"on {name} " in made["payload"] for name in told)
        assert not any(f"on {name} " in made["payload"] for name in untold)
        changed = await world.run(
            "mutation ($i: WebhookUpdateInput!) "
            "{ webhookUpdate(input: $i) { webhook { payload } errors { code } } }",
            viewer,
            i={"id": made["id"], "payload": None},
        )
        assert changed.good["webhookUpdate"]["webhook"]["payload"] == made["payload"]
