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
from domain import device as devices
from domain import notification as notifications
from domain.notification import PUSH_JOB
from jobs.push.service import make_push
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
        message = (await request.json())["message"]
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
        workshop.tools.push = make_push(push, workshop.house.clock)
        yield made
        await workshop.tools.push.close()


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
