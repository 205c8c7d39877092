"""What operations cost: the formula of docs/limits.md, and what it is held against."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app import Application, create_app
from graph.request.cost import WEIGHTS
from graph.request.document_limits import DocumentLimits
from graph.request.documents import Documents
from graph.schema import schema
from settings import Settings
from tests.accounts import Clock
from tests.factories import World
from tests.servers import serving
from tests.web.websocket_client import opened

DOCUMENTS = Documents(schema._schema, DocumentLimits(), suggestions=False)
SCHEMA = schema._schema

BOARD = """
query ($first: Int) { tasks(first: $first) { nodes {
  id number title status priority dueAt tags position assignee { id username fullName } } } }
"""
DEEP = """
{ projects(first: 20) { nodes { id name tasks(first: 20) { nodes { id title
  assignee { id username } comments(first: 5) { nodes { id body author { id username } } }
} } } } }
"""


async def cost(text: str, **variables: Any) -> int:
    document = await DOCUMENTS.get(text)
    return document.operations[0].points(variables)


async def test_the_board_and_the_deep_query_cost_what_was_promised() -> None:
    assert await cost(BOARD, first=100) == 5
    assert await cost(DEEP) == 97


async def test_pages_decide() -> None:
    assert await cost(BOARD, first=0) == 1
    assert await cost(BOARD) == await cost(BOARD, first=50) == 3
    assert await cost(BOARD, first=None) == 3
    # What is refused when it runs is not charged as if it did.
    assert await cost(BOARD, first=10**9) == await cost(BOARD, first=100)
    assert await cost(BOARD, first=-5) == 1
    assert await cost("{ tasks(last: 100) { nodes { id } } }") == 3


async def test_a_whole_number_with_a_fraction_costs_what_it_returns() -> None:
    """JSON does not tell `100.0` from `100`, and `Int` takes both."""
    assert await cost(BOARD, first=100.0) == await cost(BOARD, first=100) == 5
    assert await cost(BOARD, first=10.0) == await cost(BOARD, first=10) == 1


async def test_values_of_a_wrong_type_do_not_decide_what_others_pay() -> None:
    """They are refused later; until then, no price is kept for values that equal them."""
    text = (
        "query ($yes: Boolean!) { tasks(first: 100) { nodes { owner @include(if: $yes) {id} } } }"
    )
    assert await cost(text, yes=0) == 5
    assert await cost(text, yes=False) == 3
    assert await cost(BOARD, first=True) == 3
    assert await cost(BOARD, first=1) == 1
    nodes = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    assert await cost(nodes, ids=60) == 1
    assert await cost(nodes, ids=["task"] * 60) == 2


async def test_a_single_id_is_a_list_of_one() -> None:
    assert await cost('{ nodes(ids: "x") { id } }') == 1
    assert await cost("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids="x") == 1


async def test_defaults_of_variables() -> None:
    text = "query ($n: Int = 100) { tasks(first: $n) { nodes { id } } }"
    assert await cost(text) == 3
    assert await cost(text, n=10) == 1


async def test_structure_is_free_and_rows_count_where_they_stand() -> None:
    assert await cost("{ tasks(first: 100) { pageInfo { endCursor } edges { cursor } } }") == 1
    assert await cost("{ tasks(first: 100) { edges { node { id } } } }") == 3
    both = "{ tasks(first: 100) { edges { node { id } } nodes { id } } }"
    assert await cost(both) == 5


async def test_a_field_that_is_merged_counts_once() -> None:
    text = "{ tasks(first: 100) { nodes { id } nodes { title } } tasks(first: 100) { nodes { id }}}"
    assert await cost(text) == 3
    assert await cost("{ a: tasks { nodes { id } } b: tasks { nodes { id } } }") == 3


async def test_what_is_left_out_is_free() -> None:
    text = """
    query ($yes: Boolean!) { tasks(first: 100) { nodes { id assignee @include(if: $yes) { id } } } }
    """
    assert await cost(text, yes=True) == 5
    assert await cost(text, yes=False) == 3
    assert await cost("{ tasks(first: 100) @skip(if: true) { nodes { id } } serverInfo { name } }")


async def test_fragments_and_abstract_types_count_the_dearest() -> None:
    text = """
    query ($ids: [ID!]!) { nodes(ids: $ids) { id
      ... on Task { assignee { id } } ... on Project { ...P } } }
    fragment P on Project { tasks(first: 10) { nodes { id } } }
    """
    assert await cost(text, ids=["x"] * 100) == 1 + (100 + 100 * 10) // 50
    assert await cost(text, ids=[]) == 1


async def test_mutations_and_their_items() -> None:
    one = "mutation ($input: TaskCreateInput!) { taskCreate(input: $input) { task { id } } }"
    assert await cost(one, input={"title": "x"}) == 2
    bulk = """
    mutation ($input: TaskBulkCreateInput!) { taskBulkCreate(input: $input) { doneCount } }
    """
    small, large = {"items": [{"title": "x"}]}, {"items": [{"title": "x"}] * 200}
    assert await cost(bulk, input=small) == 2
    assert await cost(bulk, input=large) == 22


async def test_counts_cost_more_than_they_show() -> None:
    plain = "{ projects(first: 100) { nodes { id tasks(first: 0) { pageInfo { endCursor } } } } }"
    counted = "{ projects(first: 100) { nodes { id tasks(first: 0) { totalCount } } } }"
    assert await cost(counted) - await cost(plain) == 20


async def test_each_criterion_of_a_grouping_costs() -> None:
    text = """
    query ($by: [TaskGroupBy!]) { taskStats(groupBy: $by) { total groups { total } } }
    """
    assert await cost(text) == await cost(text, by=None) == await cost(text, by=[]) == 3
    assert await cost(text, by="TAG") == await cost(text, by=["TAG"]) == 4
    assert await cost(text, by=["TAG", "STATUS"]) == 5
    written = "{ projects(first: 10) { nodes { stats(groupBy: %s) { total } } } }"
    assert await cost(written % "[TAG, STATUS]") - await cost(written % "TAG") == 10


def test_weights_name_fields_that_there_are() -> None:
    for place in WEIGHTS:
        type_name, name = place.split(".")
        fields = SCHEMA.get_type(type_name).fields  # type: ignore[union-attr]
        assert name in fields or name.startswith("__"), place


@given(
    sizes=st.lists(st.integers(0, 100), min_size=3, max_size=3),
    people=st.booleans(),
)
@hypothesis_settings(max_examples=60, deadline=None)
async def test_the_formula_for_any_sizes(sizes: list[int], people: bool) -> None:
    a, b, c = sizes
    who = "author { id }" if people else ""
    text = """
    query ($a: Int, $b: Int, $c: Int) { projects(first: $a) { nodes { tasks(first: $b) { nodes {
      comments(first: $c) { nodes { id WHO } } } } } } }
    """.replace("WHO", who)
    objects = a + a * b + a * b * c * (2 if people else 1)
    assert await cost(text, a=a, b=b, c=c) == 1 + objects // 50


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
@hypothesis_settings(max_examples=100, deadline=None)
async def test_no_variable_breaks_it(value: Any) -> None:
    """Variables are not checked yet when the cost is counted."""
    assert 1 <= await cost(BOARD, first=value) <= 5
    text = "mutation ($input: TaskBulkCreateInput!) { taskBulkCreate(input: $input) { doneCount }}"
    assert await cost(text, input=value) >= 2


# --- charging ------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> Clock:
    made = Clock()
    # The beginning of a minute, so that a test does not run into the next one.
    made.now = made.now.replace(second=0, microsecond=0)
    return made


@pytest.fixture
async def frugal(settings: Settings, clock: Clock) -> AsyncIterator[Application]:
    """A process of its own whose people have 100 points a minute."""
    limits = settings.limits.model_copy(update={"cost_budget": 100, "cost_operation": 40})
    app = create_app(settings.model_copy(update={"limits": limits}), clock=clock)
    async with app.lifespan():
        yield app


@pytest.fixture
async def http(frugal: Application) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(frugal, client=("203.0.113.50", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://taskloom.test") as made:
        yield made


INFO = "{ serverInfo { name } }"
DEAR = "{ " + " ".join(f"a{n}: tasks(first: 100) {{ nodes {{ id }} }}" for n in range(10)) + " }"


async def post(http: httpx.AsyncClient, query: str, **more: Any) -> httpx.Response:
    return await http.post("/graphql", json={"query": query, **more})


async def test_every_answer_says_what_it_cost(http: httpx.AsyncClient, clock: Clock) -> None:
    response = await post(http, INFO)
    extension = response.json()["extensions"]["cost"]
    assert extension | {"resetAt": ""} == {
        "requested": 1, "charged": 1, "remaining": 99, "resetAt": ""
    }  # fmt: skip
    assert extension["resetAt"].endswith(":00Z")
    assert response.headers["RateLimit"] == '"points";r=99;t=60'
    assert response.headers["RateLimit-Policy"] == '"points";q=100;w=60'
    clock.forward(seconds=20)
    budget = "{ rateLimit { limit cost remaining resetAt } }"
    shown = (await post(http, budget)).json()
    assert shown["data"]["rateLimit"]["remaining"] == 98
    assert shown["data"]["rateLimit"]["cost"] == 1
    assert shown["data"]["rateLimit"]["resetAt"] == extension["resetAt"]
    # A new minute is a new budget.
    clock.forward(seconds=40)
    assert (await post(http, INFO)).json()["extensions"]["cost"]["remaining"] == 99


async def test_over_the_budget_nothing_runs(http: httpx.AsyncClient, clock: Clock) -> None:
    for _ in range(4):
        response = await post(http, DEAR)
        # Signed out, so that it fails in the end; but it was executed, and is paid for.
        assert response.status_code == 200
        assert response.json()["extensions"]["cost"]["charged"] == 21
    clock.forward(seconds=15)
    response = await post(http, DEAR)
    assert response.status_code == 429
    assert response.headers["Retry-After"] == "45"
    assert response.headers["RateLimit"] == '"points";r=16;t=45'
    body = response.json()
    assert "data" not in body
    (error,) = body["errors"]
    assert error["extensions"] == {"code": "RATE_LIMITED", "retryAfter": 45}
    assert body["extensions"]["cost"]["charged"] == 0
    # What still fits is done, to the last point.
    for left in range(15, -1, -1):
        assert (await post(http, INFO)).json()["extensions"]["cost"]["remaining"] == left
    assert (await post(http, INFO)).status_code == 429


async def test_an_operation_that_is_too_dear_is_refused_alone(http: httpx.AsyncClient) -> None:
    query = "{ projects(first: 100) { nodes { tasks(first: 100) { nodes { id } } } } }"
    response = await post(http, query)
    assert response.status_code == 400
    (error,) = response.json()["errors"]
    assert error["extensions"] == {
        "code": "OPERATION_TOO_COMPLEX", "limit": "points", "actual": 203, "maximum": 40
    }  # fmt: skip
    assert (await post(http, INFO)).json()["extensions"]["cost"]["remaining"] == 99


async def test_cost_only(http: httpx.AsyncClient) -> None:
    query = "{ projects(first: 100) { nodes { tasks(first: 100) { nodes { id } } } } }"
    response = await post(http, query, extensions={"costOnly": True})
    assert response.status_code == 200
    body = response.json()
    assert body["data"] is None
    assert "errors" not in body
    cost = body["extensions"]["cost"]
    assert (cost["requested"], cost["charged"], cost["remaining"]) == (203, 0, 100)
    mutation = 'mutation { userRegister(input: {username: "x", email: "x", password: "x"}) \
        { errors { code } } }'
    body = (await post(http, mutation, extensions={"costOnly": True})).json()
    assert body["data"] is None
    assert body["extensions"]["cost"]["requested"] == 2
    subscription = "subscription { taskEvents { id } }"
    body = (await post(http, subscription, extensions={"costOnly": True})).json()
    assert body["extensions"]["cost"]["requested"] == 2
    response = await post(http, INFO, extensions={"costOnly": "yes"})
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_budgets_are_of_people(frugal: Application, world: World) -> None:
    ada, bob = await world.person(), await world.person()
    transport = httpx.ASGITransport(frugal)
    async with httpx.AsyncClient(transport=transport, base_url="http://taskloom.test") as http:

        async def left(header: str) -> int:
            response = await http.post(
                "/graphql", json={"query": INFO}, headers={"Authorization": header}
            )
            remaining: int = response.json()["extensions"]["cost"]["remaining"]
            return remaining

        assert [await left(ada.header), await left(ada.header), await left(bob.header)] == [
            99, 98, 99
        ]  # fmt: skip


async def test_over_sse_too(http: httpx.AsyncClient) -> None:
    for _ in range(4):
        await post(http, DEAR)
    headers = {"Accept": "text/event-stream"}
    response = await http.post("/graphql", json={"query": DEAR}, headers=headers)
    assert response.status_code == 429
    assert response.json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    response = await http.post("/graphql", json={"query": INFO}, headers=headers)
    first = next(line for line in response.text.splitlines() if line.startswith("data: {"))
    assert orjson.loads(first[6:])["extensions"]["cost"]["charged"] == 1


async def test_over_a_socket_too(settings: Settings, world: World) -> None:
    """A connection is no way around the budget, which each operation on it is charged to."""
    limits = settings.limits.model_copy(update={"cost_budget": 50, "cost_operation": 40})
    ada = await world.person()
    # A clock that stands still: it is one minute all the time.
    app = create_app(settings.model_copy(update={"limits": limits}), clock=Clock())
    async with (
        serving(app) as url,
        opened(url, init={"Authorization": ada.header}) as socket,
    ):
        left, codes = [], []
        for number in range(4):
            await socket.subscribe(DEAR, id_=f"{number}")
            message = await socket.receive()
            if message["type"] == "error":
                codes += [error["extensions"]["code"] for error in message["payload"]]
            else:
                left.append(message["payload"]["extensions"]["cost"]["remaining"])
                assert (await socket.receive())["type"] == "complete"
        assert left == [29, 8]
        assert codes == ["RATE_LIMITED", "RATE_LIMITED"]
        # What is too dear for one operation is refused for that.
        query = "{ projects(first: 100) { nodes { tasks(first: 100) { nodes { id } } } } }"
        await socket.subscribe(query, id_="dear")
        assert await socket.error("dear") == "OPERATION_TOO_COMPLEX"
