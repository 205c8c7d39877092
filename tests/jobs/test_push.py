"""Push messages over a server that speaks FCM's HTTP v1, with its tokens and its refusals."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from db.models import Channel, Device, Job, JobState, NotificationKind, Platform
from domain.notifications import device as devices
from domain.notifications import notification as notifications
from domain.notifications.notification import PUSH_JOB
from jobs.push.services import make_push
from settings import Settings
from tests.accounts import House, Person
from tests.jobs.conftest import Workshop
from tests.jobs.test_notifications import Scene


class Google:
    """The token endpoint and the messages endpoint. `answers`: what becomes of a device's token."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.messages: list[dict[str, Any]] = []
        self.answers: dict[str, JSONResponse] = {}
        self.granted: list[str] = []
        # Of the requests, in bytes.
        self.sizes: list[int] = []
        self.url = ""

    async def grant(self, request: Request) -> Response:
        form = await request.form()
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        claims = jwt.decode(
            str(form["assertion"]),
            self.key.public_key(),
            algorithms=["RS256"],
            audience=f"{self.url}/token",
            # The clock of the tests runs ahead.
            options={"verify_iat": False, "verify_exp": False},
        )
        assert claims["iss"] == "sender@taskloom.example"
        assert claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
        self.granted.append(f"granted-{len(self.granted)}")
        return JSONResponse({"access_token": self.granted[-1], "expires_in": 3600})

    async def send(self, request: Request) -> Response:
        if request.headers["Authorization"] != f"Bearer {self.granted[-1]}":
            return JSONResponse({"error": {"status": "UNAUTHENTICATED"}}, 401)
        body = await request.body()
        self.sizes.append(len(body))
        message = json.loads(body)["message"]
        refused = self.answers.get(message["token"])
        if refused is not None:
            return refused
        self.messages.append(message)
        return JSONResponse({"name": f"projects/garden/messages/{len(self.messages)}"})

    def account(self) -> dict[str, str]:
        pem = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {
            "project_id": "garden",
            "client_email": "sender@taskloom.example",
            "token_uri": f"{self.url}/token",
            "private_key": pem.decode(),
            "private_key_id": "key-1",
        }

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        routes = [
            Route("/token", self.grant, methods=["POST"]),
            Route("/v1/projects/garden/messages:send", self.send, methods=["POST"]),
        ]
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            config = uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off")
            server = uvicorn.Server(config)
            # The signals are pytest's.
            server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                yield
            finally:
                server.should_exit = True
                await serving


@pytest.fixture
async def google(settings: Settings, workshop: Workshop, tmp_path: Path) -> AsyncIterator[Google]:
    made = Google()
    async with made.open():
        file = tmp_path / "account.json"
        file.write_text(json.dumps(made.account()))
        push = settings.push.model_copy(update={"credentials": file, "url": made.url})
        changed = settings.model_copy(update={"push": push})
        workshop.context.push = make_push(changed, workshop.house.clock)
        yield made
        await workshop.context.push.close()


@pytest.fixture
async def scene(house: House, workshop: Workshop, google: Google) -> Scene:
    return await Scene(house, workshop).set()


async def device(scene: Scene, person: Person, token: str) -> None:
    await scene.house.do(person.viewer, devices.register, token, Platform.ANDROID, None)


async def tokens(scene: Scene, person: Person) -> list[str]:
    async with scene.house.database.session() as session:
        query = select(Device.token).where(Device.user_id == person.id).order_by(Device.token)
        return list(await session.scalars(query))


async def test_every_device_gets_the_message(scene: Scene, google: Google) -> None:
    for token in ("phone", "tablet"):
        await device(scene, scene.ben, token)
    task = await scene.task(scene.ada, "Dig", assignee_id=scene.ben.id)
    await scene.workshop.all_done()
    assert sorted(message["token"] for message in google.messages) == ["phone", "tablet"]
    message = google.messages[0]
    assert message["notification"]["title"].endswith("assigned “Dig” to you.")
    assert message["data"]["kind"] == "TASK_ASSIGNED_TO_ME"
    assert message["data"]["taskId"] == f"task_{task.id.hex}"
    assert len(google.granted) == 1


async def test_a_dead_device_is_forgotten_and_the_others_are_told(
    scene: Scene, google: Google
) -> None:
    unregistered = [{"@type": "type.googleapis.com/…FcmError", "errorCode": "UNREGISTERED"}]
    malformed = [{"fieldViolations": [{"field": "message.token"}]}]
    google.answers = {
        "gone": JSONResponse({"error": {"code": 404, "details": unregistered}}, 404),
        "malformed": JSONResponse({"error": {"code": 400, "details": malformed}}, 400),
    }
    for token in ("gone", "malformed", "there"):
        await device(scene, scene.ben, token)
    await scene.task(scene.ada, assignee_id=scene.ben.id)
    await scene.workshop.all_done()
    assert [message["token"] for message in google.messages] == ["there"]
    assert await tokens(scene, scene.ben) == ["there"]


@pytest.mark.parametrize("status", [400, 403, 404, 500])
async def test_a_refused_device_repeats_no_message_on_the_others(
    scene: Scene, google: Google, status: int
) -> None:
    details = {403: "SENDER_ID_MISMATCH", 404: "UNREGISTERED"}.get(status, "INTERNAL")
    error = {"code": status, "details": [{"errorCode": details}]}
    google.answers["refused"] = JSONResponse({"error": error}, status)
    for token in ("one", "refused", "two"):
        await device(scene, scene.ben, token)
    await scene.task(scene.ada, assignee_id=scene.ben.id)
    await scene.workshop.all_done()
    for _ in range(8):
        scene.house.clock.forward(hours=4)
        await scene.workshop.run_due()
    assert sorted(message["token"] for message in google.messages) == ["one", "two"]
    # A token that can never be reached is forgotten; one that the service had trouble with is not.
    left = ["one", "two"] if status in {403, 404} else ["one", "refused", "two"]
    assert await tokens(scene, scene.ben) == left
    assert len(google.sizes) == 2 + {500: 6}.get(status, 1)


FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
FLAG = "\U0001f1e9\U0001f1ea"
# Without a form in one piece, so that normalisation leaves it as it is.
ACCENT = "x\u0301"


@pytest.mark.parametrize("unit", ["a", '"', FAMILY, FLAG, ACCENT, "\U0001f44d\U0001f3fd", "漢"])
@pytest.mark.parametrize("shift", range(3))
async def test_a_message_is_cut_by_bytes_and_between_characters(
    scene: Scene, google: Google, unit: str, shift: int
) -> None:
    await device(scene, scene.ben, "phone" * (20 + shift))
    task = await scene.task(scene.ada, "漢" * 200, assignee_id=scene.ben.id)
    await scene.workshop.all_done()
    google.messages.clear()
    google.sizes.clear()
    body = unit * (9_000 // len(unit))
    await scene.comment(scene.cem, task, body)
    await scene.workshop.all_done()
    (message,) = google.messages
    # Nothing is wasted either: one more would be too many.
    assert 4_096 - 2 * len(unit.encode()) - 10 < google.sizes[0] <= 4_096
    shown = message["notification"]["body"]
    assert shown.endswith("…")
    assert set(shown.removesuffix("…").split(unit)) == {""}


async def test_push_shows_plain_text(scene: Scene, google: Google) -> None:
    await device(scene, scene.ben, "plain")
    task = await scene.task(scene.ada, assignee_id=scene.ben.id)
    await scene.comment(scene.cem, task, "**Hi** [the plan](https://x.example/plan)")
    await scene.workshop.all_done()
    # The assignment is pushed too, by a job of its own that may end first or last.
    bodies = [message["notification"]["body"] for message in google.messages]
    assert "Hi the plan" in bodies


async def test_an_ended_access_token_is_renewed(scene: Scene, google: Google) -> None:
    await device(scene, scene.ben, "renewed")
    await scene.task(scene.ada, assignee_id=scene.ben.id)
    await scene.workshop.all_done()
    # By its own time, and when the service says so earlier.
    scene.house.clock.forward(hours=1)
    await scene.task(scene.ada, assignee_id=scene.ben.id)
    await scene.workshop.all_done()
    google.granted.append("revoked by somebody")
    await scene.task(scene.ada, assignee_id=scene.ben.id)
    await scene.workshop.all_done()
    assert len([one for one in google.messages if one["token"] == "renewed"]) == 3
    assert google.granted[1:] == ["granted-1", "revoked by somebody", "granted-3"]


async def test_a_busy_service_is_asked_again_when_it_says(scene: Scene, google: Google) -> None:
    await device(scene, scene.ben, "patient")
    google.answers["patient"] = JSONResponse({"error": {}}, 429, {"Retry-After": "90"})
    await scene.task(scene.ada, assignee_id=scene.ben.id)
    await scene.workshop.all_done()
    async with scene.house.database.session() as session:
        job = await session.scalar(
            select(Job).where(Job.name == PUSH_JOB, Job.state == JobState.WAITING)
        )
    assert job is not None
    assert job.due_at == scene.house.clock() + dt.timedelta(seconds=90)
    google.answers.clear()
    scene.house.clock.forward(seconds=90)
    await scene.workshop.run_due()
    assert [message["token"] for message in google.messages] == ["patient"]


async def test_no_push_where_it_was_turned_off(scene: Scene, google: Google) -> None:
    await device(scene, scene.ben, "quiet")
    await scene.house.do(
        scene.ben.viewer,
        notifications.update_preferences,
        choices={NotificationKind.TASK_ASSIGNED_TO_ME: {Channel.PUSH: False}},
    )
    await scene.task(scene.ada, assignee_id=scene.ben.id)
    await scene.workshop.all_done()
    assert google.messages == []


async def test_no_push_of_what_was_turned_off_meanwhile(scene: Scene, google: Google) -> None:
    await device(scene, scene.ben, "phone")
    task = await scene.task(scene.ada, assignee_id=scene.ben.id)
    await scene.comment(scene.ada, task, "Hello")
    await scene.workshop.catch_up()
    await scene.house.do(
        scene.ben.viewer,
        notifications.update_preferences,
        choices={NotificationKind.COMMENT_ON_MY_TASK: {Channel.PUSH: False}},
    )
    await scene.workshop.run_due()
    assert ["assigned" in one["notification"]["title"] for one in google.messages] == [True]
