"""Traces and metrics as a receiver in another process gets them from a server and a worker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]  # has no annotations
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from settings import Settings
from tests.accounts import House
from tests.databases import address_of, fresh_database
from tests.otlp import Collector, Received, collecting
from tests.receivers import Receiver, receiving
from tests.servers import free_port, process

MARK = "confidentialword"
WEBHOOK = """
mutation ($url: URL!) {
  webhookCreate(input: {url: $url, payload: "{ kind task { confidentialword_payload: title } }"}) {
    webhook { id } errors { message }
  }
}
"""
CREATE = """
mutation Create($title: String!) {
  confidentialword_alias: taskCreate(input: {title: $title, description: "confidentialword here"}) {
    task { confidentialword_id: id } errors { message }
  }
}
"""
PROJECT = "mutation ($name: String!) { projectCreate(input: {name: $name}) { errors { code } } }"
BOARD = """
query Board {
  confidentialword_list: projects(first: 5, filter: {name: {contains: "confidentialword"}}) {
    nodes { name confidentialword_tasks: tasks(first: 5) { nodes { confidentialword_title: title
      assignee { username } comments(first: 5) { nodes { author { fullName } } } } } }
  }
}
"""


BOARD_OF = """
query Board($name: String!) {
  projects(first: 5, filter: {name: {eq: $name}}) {
    nodes { name tasks(first: 5) { nodes { title comments(first: 5) { nodes { body } } } } }
  }
}
"""


def traceparent(*, sampled: bool = True) -> tuple[str, str, str]:
    """A header as a client with tracing sends it, with its trace and its span."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return f"00-{trace}-{span}-0{int(sampled)}", trace, span


@dataclass
class Scene:
    collector: Collector
    receiver: Receiver
    http: httpx.AsyncClient
    url: str
    token: str
    settings: Settings

    async def ask(self, query: str, header: str | None = None, **variables: Any) -> Any:
        headers = {} if header is None else {"traceparent": header}
        body = {"query": query, "variables": variables}
        answer = (await self.http.post("/graphql", json=body, headers=headers)).json()
        assert "errors" not in answer, answer
        return answer["data"]

    async def until(self, trace: str, place: str) -> dict[str, Received]:
        """The spans of a trace, once this one has arrived; a span arrives after those below it."""

        def arrived(collector: Collector) -> bool:
            return place in tree(collector.spans(), trace)

        await asyncio.to_thread(self.collector.await_, arrived)
        return tree(self.collector.spans(), trace)


async def at_work(http: httpx.AsyncClient) -> None:
    """Wait for the worker, which follows the events that are logged from then on."""
    async with asyncio.timeout(60):
        while "degraded" in (await http.get("/health")).text:
            await asyncio.sleep(0.2)


@pytest.fixture(scope="module")
async def scene(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Scene]:
    """A server and a worker that export, and a webhook for all events."""
    async with played(settings, tmp_path_factory.mktemp("data")) as made:
        yield made


@contextlib.asynccontextmanager
async def played(settings: Settings, data: Path, **more: str) -> AsyncIterator[Scene]:
    """A scene with a database of its own. `more`: settings of the server and the worker."""
    async with fresh_database(settings) as database, receiving() as receiver:
        own = settings.with_database(await address_of(settings, database))
        with collecting() as collector:
            variables = {
                "TEST_WORKER": "yes",
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
                "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={MARK}-of-receiver",
                "OTEL_TRACES_SAMPLER": "parentbased_always_off",
                "OTEL_BSP_SCHEDULE_DELAY": "100",
                "OTEL_METRIC_EXPORT_INTERVAL": "500",
                "TASKLOOM_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
                "TASKLOOM_DATA_DIR": str(data),
                **more,
            }
            house = House(own, database)
            person = await house.person()
            house.auth.close()
            with process(own, port=None, folder=None, **variables) as (url, _):
                async with httpx.AsyncClient(
                    base_url=url, headers={"Authorization": person.header}, timeout=30
                ) as http:
                    made = Scene(collector, receiver, http, url, person.header, own)
                    await at_work(http)
                    answer = await made.ask(WEBHOOK, url=receiver.url(f"/hook?{MARK}"))
                    assert answer["webhookCreate"]["errors"] == []
                    yield made


def tree(spans: list[Received], trace: str) -> dict[str, Received]:
    """The spans of a trace by their places in it: names from the first one down."""
    mine = {one.id: one for one in spans if one.trace == trace}

    def path(one: Received) -> str:
        above = mine.get(one.parent)
        return one.name if above is None else f"{path(above)} > {one.name}"

    return {path(one): one for one in mine.values()}


FIELD = "POST /graphql > {} > {}"
JOB = "POST /graphql > mutation Create > Mutation.taskCreate > job webhook.deliver"


async def test_a_change_is_followed_through_the_worker_to_a_webhook(scene: Scene) -> None:
    header, trace, parent = traceparent()
    await scene.ask(CREATE, header, title=f"{MARK} title")
    found = await scene.until(trace, JOB)
    first = found["POST /graphql"]
    assert (first.parent, first.kind, first.part) == (parent, "SERVER", "web")
    assert first.attributes == {
        "http.request.method": "POST",
        "http.route": "/graphql",
        "http.response.status_code": 200,
    }
    assert found["POST /graphql > mutation Create"].attributes == {
        "graphql.operation.type": "mutation",
        "graphql.operation.name": "Create",
        "taskloom.engine": "batch",
    }
    field = FIELD.format("mutation Create", "Mutation.taskCreate")
    insert = found[f"{field} > INSERT tasks"]
    assert insert.kind == "CLIENT"
    assert insert.attributes["db.system.name"] == "postgresql"
    assert insert.attributes["db.query.text"].endswith("RETURNING tasks.number")
    assert {f"{field} > BEGIN", f"{field} > COMMIT"} <= set(found)
    job, call = found[JOB], found[f"{JOB} > webhook > POST"]
    assert (job.kind, job.part) == ("CONSUMER", "worker")
    assert call.attributes == {"http.request.method": "POST", "http.response.status_code": 200}
    # The payload is an operation too.
    assert f"{JOB} > webhook > subscription > Event.task" in found
    # The receiver can continue from the request that it got.
    (sent,) = [one for one in scene.receiver.requests if trace in one.headers["traceparent"]]
    assert sent.headers["traceparent"] == f"00-{trace}-{call.id}-01"
    assert not any(one.failed for one in found.values())


async def test_a_field_has_one_span_for_all_objects_of_its_level(scene: Scene) -> None:
    for number in range(3):
        await scene.ask(PROJECT, name=f"{MARK} {number}")
    for _ in range(6):
        # The later ones are serialized by PostgreSQL.
        header, trace, _ = traceparent()
        await scene.ask(BOARD, header)
        found = await scene.until(trace, "POST /graphql")
        fields = [place for place in found if place.count(" > ") == 2 and "SELECT" not in place]
        expected = {"Query.projects", "Project.tasks"}
        assert {place.rpartition(" > ")[2] for place in fields} >= expected
        tasks = found[FIELD.format("query Board", "Project.tasks")]
        assert tasks.attributes == {
            "graphql.field.name": "tasks",
            "graphql.field.parent_type": "Project",
            "taskloom.objects": 3,
        }
        named = [one for one in scene.collector.spans() if one.trace == trace]
        assert sum(one.name == "Project.tasks" for one in named) == 1
        assert FIELD.format("query Board", "Query.projects > SELECT projects") in found


async def test_statements_with_row_level_security(
    scene: Scene, settings: Settings, tmp_path: Path
) -> None:
    """The same answers, and the same spans: of the statement, and not of what checks its rows."""

    async def seen(where: Scene) -> tuple[Any, list[str], set[str]]:
        """The answer, the places of the spans of statements, and their texts."""
        name = f"{MARK} rows"
        await where.ask(PROJECT, name=name)
        # Until the plan of the document has settled.
        for _ in range(6):
            header, trace, _ = traceparent()
            answer = await where.ask(BOARD_OF, header, name=name)
            found = await where.until(trace, "POST /graphql")
        statements = {
            place: one for place, one in found.items() if "db.query.text" in one.attributes
        }
        for place, one in statements.items():
            assert one.attributes["db.query.summary"] == place.rpartition(" > ")[2] == one.name
            assert not one.failed
        return (
            answer,
            sorted(statements),
            {one.attributes["db.query.text"] for one in statements.values()},
        )

    async with played(settings, tmp_path, TASKLOOM_ROW_SECURITY="on") as walled:
        answer, places, texts = await seen(walled)
    assert any("taskloom_viewer" in text for text in texts)
    other, expected, _ = await seen(scene)
    assert answer == other
    assert places == expected
    assert any("SELECT projects" in place for place in places)


async def test_operations_over_a_websocket_and_deliveries(scene: Scene) -> None:
    opened, one, change = traceparent(), traceparent(), traceparent()
    async with connect(
        f"{scene.url.replace('http', 'ws', 1)}/graphql",
        subprotocols=[Subprotocol("graphql-transport-ws")],
        additional_headers={"traceparent": opened[0]},
    ) as socket:
        init = {"type": "connection_init", "payload": {"Authorization": scene.token}}
        await socket.send(json.dumps(init))
        await socket.recv()
        payload: dict[str, Any] = {"query": "query Me { viewer { user { id } } }"}
        payload["extensions"] = {"traceparent": one[0]}
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
        while json.loads(await socket.recv())["type"] != "complete":
            pass
        follow = {"query": "subscription Follow { taskEvents { kind task { title } } }"}
        await socket.send(json.dumps({"type": "subscribe", "id": "2", "payload": follow}))
        await scene.until(opened[1], "WS /graphql")
        await scene.ask(CREATE, change[0], title=f"{MARK} followed")
        assert json.loads(await socket.recv())["type"] == "next"
    found = await scene.until(one[1], "WS /graphql")
    assert found["WS /graphql"].parent == one[2]
    assert "WS /graphql > query Me" in found
    # The span of a subscription has ended although its stream is open.
    found = await scene.until(opened[1], "WS /graphql")
    assert found["WS /graphql"].parent == opened[2]
    assert "WS /graphql > subscription Follow" in found
    delivery = "POST /graphql > mutation Create > Mutation.taskCreate > delivery"
    found = await scene.until(change[1], delivery)
    assert f"{delivery} > subscription Follow > Event.task" in found


async def test_a_stream_of_events(scene: Scene) -> None:
    header, trace, parent = traceparent()
    headers = {"traceparent": header, "Accept": "text/event-stream"}
    query = "subscription Follow { taskEvents { kind } }"
    async with scene.http.stream("POST", "/graphql", json={"query": query}, headers=headers):
        found = await scene.until(trace, "POST /graphql")
    first = found["POST /graphql"]
    assert (first.parent, first.attributes["http.response.status_code"]) == (parent, 200)
    assert "POST /graphql > subscription Follow" in found


async def test_a_mail(scene: Scene) -> None:
    header, trace, _ = traceparent()
    await scene.ask(
        "mutation Verify { emailVerificationRequest(input: {}) { errors { code } } }", header
    )
    field = FIELD.format("mutation Verify", "Mutation.emailVerificationRequest")
    found = await scene.until(trace, f"{field} > job mail.email_verification")
    assert found[f"{field} > job mail.email_verification > account mail"].kind == "CLIENT"


async def test_what_the_caller_does_not_record_is_not_recorded(scene: Scene) -> None:
    header, trace, _ = traceparent(sampled=False)
    await scene.ask(CREATE, header, title=f"{MARK} unsampled")
    async with asyncio.timeout(30):
        while not (sent := [one for one in scene.receiver.requests if trace in str(one.headers)]):
            await asyncio.sleep(0.1)
    # The receiver still learns the trace, and that it is not recorded.
    assert sent[0].headers["traceparent"].endswith("-00")
    later, known, _ = traceparent()
    await scene.ask("{ __typename }", later)
    await scene.until(known, "POST /graphql")
    assert tree(scene.collector.spans(), trace) == {}


async def test_a_route(scene: Scene) -> None:
    """By its template: an address may contain a token."""
    header, trace, _ = traceparent()
    await scene.http.get(f"/files/{MARK}?token={MARK}", headers={"traceparent": header})
    found = await scene.until(trace, "GET /files/{id}")
    attributes = found["GET /files/{id}"].attributes
    assert attributes == {
        "http.request.method": "GET",
        "http.route": "/files/{id}",
        "http.response.status_code": 404,
    }


async def test_errors(scene: Scene) -> None:
    header, trace, _ = traceparent()
    query = 'query Missing { task(id: "WEB-999999") { title } node(id: "confidentialword") { id } }'
    await scene.http.post("/graphql", json={"query": query}, headers={"traceparent": header})
    found = await scene.until(trace, "POST /graphql")
    failed = found["POST /graphql > query Missing"]
    # The client's errors are none of the server's.
    assert failed.attributes["taskloom.code"] == "NOT_FOUND"
    assert not failed.failed
    # A header that is invalid begins a new trace.
    for nonsense in (
        "00-0-0-01",
        f"00-{'0' * 32}-{'0' * 16}-01",
        MARK,
        f"ff-{trace}-{trace[:16]}-01",
    ):
        await scene.http.post(
            "/graphql", json={"query": "{ __typename }"}, headers={"traceparent": nonsense}
        )


def _value(point: Any) -> float:
    value: float = getattr(point, point.WhichOneof("value"))
    return value


async def test_metrics_are_those_of_the_endpoint(scene: Scene) -> None:
    text = (await scene.http.get("/metrics")).text
    names = {
        line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE")
    }
    expected = {
        name.removesuffix("_total")
        for name, kind in names.items()
        if kind != "untyped" and not name.endswith("_created")
    }

    def enough(collector: Collector) -> bool:
        return ("web", "taskloom_workers") in collector.metrics()

    await asyncio.to_thread(scene.collector.await_, enough)
    await asyncio.sleep(1)
    metrics = scene.collector.metrics()
    sent = {name for part, name in metrics if part == "web"}
    # Those without a value yet are not sent.
    empty = {
        name
        for name in expected
        if not re.search(rf"^{name}(_total|_count)?[{{ ]", text, re.MULTILINE)
    }
    assert sent == expected - empty
    assert ("worker", "process_resident_memory_bytes") in metrics
    operations = metrics["web", "taskloom_operations"].sum
    assert operations.is_monotonic
    by_labels = {
        tuple(sorted((one.key, one.value.string_value) for one in point.attributes)): _value(point)
        for point in operations.data_points
    }
    created = (("outcome", "ok"), ("transport", "http"), ("type", "mutation"))
    assert by_labels[created] >= 3
    (taken,) = [
        point
        for point in metrics["web", "taskloom_operation_seconds"].histogram.data_points
        if point.attributes[0].value.string_value == "mutation"
    ]
    assert sum(taken.bucket_counts) == taken.count >= 3
    assert len(taken.explicit_bounds) + 1 == len(taken.bucket_counts)
    assert metrics["web", "taskloom_operation_seconds"].unit == "s"


def _used(expression: str) -> dict[str, set[str]]:
    """The metrics of an expression of PromQL, each with the labels that are used with it."""
    without_texts = re.sub(r'"[^"]*"', '""', expression)
    names = set(re.findall(r"\b(?:taskloom|process|python)_\w+", without_texts))
    found = {}
    for name in names:
        selectors = re.findall(rf"\b{name}\{{([^}}]*)\}}", without_texts)
        found[name] = set(re.findall(r"(\w+)\s*[=!~]", " ".join(selectors)))
        found[name] |= {
            label
            for group in re.findall(r"\b(?:by|without)\s*\(([^)]*)\)", without_texts)
            for label in group.replace(" ", "").split(",")
        }
        # Known to Prometheus, and not to us.
        found[name] -= {"job", "instance"}
    return found


ROOT = Path(__file__).resolve().parents[2]
# Without a value unless something hangs, or an operation is not for the batch engine.
UNSEEN = {"taskloom_circuits_open": {"kind"}, "taskloom_engine_fallbacks_total": {"reason"}}


async def test_dashboard_and_alerts_use_metrics_that_exist(scene: Scene) -> None:
    text = (await scene.http.get("/metrics")).text
    typed = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    labels: dict[str, set[str]] = {name: set(UNSEEN.get(name, ())) for name in typed}
    for name, given in re.findall(r"^(\w+?)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        labels.setdefault(name, set()).update(re.findall(r'(\w+)="', given))
    dashboard = json.loads((ROOT / "ops/grafana/taskloom.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    rules = yaml.safe_load((ROOT / "ops/alerts.yaml").read_text())["groups"][0]["rules"]
    variables = {f"${{{one['name']}}}" for one in dashboard["templating"]["list"]}
    places = set()
    for panel in panels:
        box = panel["gridPos"]
        places |= {(box["x"] + x, box["y"] + y) for x in range(box["w"]) for y in range(box["h"])}
        assert panel["datasource"]["uid"] in variables
    # No panel covers another.
    assert len(places) == sum(one["gridPos"]["w"] * one["gridPos"]["h"] for one in panels)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) == {"summary", "description"}
    expressions = [
        *(target["expr"] for panel in panels for target in panel["targets"]),
        *(rule["expr"] for rule in rules),
    ]
    shown: set[str] = set()
    for expression in expressions:
        for opening, closing in ("()", "{}", "[]"):
            assert expression.count(opening) == expression.count(closing), expression
        used = _used(expression)
        assert used, expression
        shown |= set(used)
        known = set().union(*(labels.get(name, set()) for name in used))
        for name, wanted in used.items():
            assert name in labels, f"{name} of {expression} does not exist"
            # What several metrics are grouped by, one of them has.
            assert wanted <= known | labels[name], f"{wanted - known} of {expression}"
    # Each figure of ours is looked at, and so is each that is documented.
    ours = {
        name for name in typed if name.startswith("taskloom_") and not name.endswith("_created")
    }
    documented = set(re.findall(r"`(taskloom_\w+)", (ROOT / "docs/running.md").read_text()))
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in shown} >= ours
    assert ours <= documented | {"taskloom_database_connections_max"}
    assert documented <= set(labels) | typed


async def test_nothing_that_users_wrote_is_sent(scene: Scene) -> None:
    sent = scene.collector.bytes()
    assert len(sent) > 10_000
    for secret in (MARK, scene.token.removeprefix("Bearer "), "127.0.0.1:", "/hook"):
        assert secret.encode() not in sent, secret


@pytest.mark.parametrize("hanging", [True, False])
async def test_a_receiver_that_hangs_or_is_away_delays_nothing(
    settings: Settings, house: House, capfd: pytest.CaptureFixture[str], hanging: bool
) -> None:
    person = await house.person()
    with contextlib.ExitStack() as stack:
        address = f"http://user:{MARK}@127.0.0.1:{free_port()}"
        if hanging:
            address = stack.enter_context(collecting(hanging=True)).address
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": address,
            "OTEL_TRACES_SAMPLER": "always_on",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_BSP_MAX_QUEUE_SIZE": "64",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "32",
            "OTEL_METRIC_EXPORT_INTERVAL": "100",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "2" if not hanging else "10",
        }
        url, running = stack.enter_context(process(settings, port=None, folder=None, **variables))
        taken = []
        async with httpx.AsyncClient(base_url=url, timeout=30) as http:
            for _ in range(60):
                begun = time.monotonic()
                answer = await http.post(
                    "/graphql",
                    json={"query": "{ viewer { user { id } } }"},
                    headers={"Authorization": person.header},
                )
                taken.append(time.monotonic() - begun)
                assert "errors" not in answer.json()
            if not hanging:
                await asyncio.sleep(3)
        assert max(taken) < 5
        begun = time.monotonic()
        running.terminate()
        assert running.wait(30) == 0
        # Of which the last try to send takes at most two.
        assert time.monotonic() - begun < 8
    said = capfd.readouterr().err
    assert said.count("OpenTelemetry data may be lost") <= 1
    assert hanging or "OpenTelemetry data may be lost" in said
    assert MARK not in said
