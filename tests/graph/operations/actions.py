"""What people do in single-page applications: S04 (a card is dragged) to S27, and S16, live."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any
from urllib.parse import urlsplit

from db import models
from tests.accounts import PASSWORD
from tests.factories import World, gid
from tests.graph.operations.documents import (
    DOCUMENTS,
    ask,
    do,
    people,
    runs,
    team,
)


@runs("S04_drag")
async def drag(world: World) -> None:
    ada, _jun, project, _key = await team(world)
    moved = await world.task(ada, "moved", project_id=project.id)
    above, below = await world.tasks(
        ada, ["above", "below"], project_id=project.id, status=models.TaskStatus.IN_PROGRESS
    )
    variables: dict[str, Any] = {"task": gid(moved), "status": "IN_PROGRESS", "after": gid(above)}
    payload = (await ask(world, "S04_drag", ada, ifVersion=moved.version, **variables)).good
    task = payload["taskMove"]["task"]
    assert (task["status"], task["version"]) == ("IN_PROGRESS", moved.version + 1)
    assert above.position < task["position"] < below.position
    variables["status"] = "COMPLETED"
    late = await ask(world, "S04_drag", ada, ifVersion=moved.version, **variables)
    assert late.errors == []
    assert late.data["taskMove"]["task"] == task
    (error,) = late.data["taskMove"]["errors"]
    assert (error["code"], error["path"]) == ("CONFLICT", ["input", "ifVersion"])
    assert error["conflictingFields"] == ["status"]


@runs("S07_quick_add")
async def quick_add(world: World) -> None:
    ada, jun, _project, key = await team(world)
    variables: dict[str, Any] = {
        "project": key,
        "title": "Mend the gate",
        "assignee": f"@{jun.username}",
        "dueOn": "2027-03-01",
        "tags": ["garden"],
        "key": "add-1",
    }
    made = (await ask(world, "S07_quick_add", ada, **variables)).good["taskCreate"]
    again = (await ask(world, "S07_quick_add", ada, **variables)).good["taskCreate"]
    assert made["task"] == {
        "id": made["task"]["id"],
        "identifier": f"{key}-1",
        "title": "Mend the gate",
        "status": "TODO",
        "priority": "HIGH",
        "dueOn": "2027-03-01",
        "tags": ["garden"],
        "assignee": {"username": jun.username},
    }
    assert (made["replayed"], again["replayed"]) == (False, True)
    assert again["task"] == made["task"]


@runs("S08_conflict")
async def conflict(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada, "one")
    version = task.version
    await do(world, ada, "taskUpdate", "task { id }", id=gid(task), title="two")
    late = await ask(world, "S08_conflict", ada, task=gid(task), title="three", ifVersion=version)
    assert late.errors == []
    payload = late.data["taskUpdate"]
    assert payload["task"] == {"id": gid(task), "title": "two", "version": version + 1}
    (error,) = payload["errors"]
    assert (error["code"], error["path"]) == ("CONFLICT", ["input", "ifVersion"])
    assert error["conflictingFields"] == ["title"]


@runs("S16_live")
async def live(world: World) -> None:
    ada, _jun, project, _key = await team(world)
    done = await world.task(
        ada, "done long ago", project_id=project.id, status=models.TaskStatus.COMPLETED
    )
    after = (await world.post("{ eventCursor }", ada)).good["eventCursor"]
    await do(world, ada, "taskUpdate", "task { id }", id=gid(done), title="still done")
    task = await world.task(ada, "Mend", project_id=project.id)
    replies = world.deliveries(DOCUMENTS["S16_live"], ada, project=gid(project), after=after)
    events = []
    async with asyncio.timeout(60):
        events.append((await anext(replies)).good["taskEvents"])
        await do(world, ada, "taskComplete", "task { id }", id=gid(task))
        events.append((await anext(replies)).good["taskEvents"])
    await replies.aclose()
    assert [(event["kind"], event["matches"]) for event in events] == [
        ("TASK_CREATED", True),
        ("TASK_COMPLETED", False),
    ]
    assert {event["subjectId"] for event in events} == {gid(task)}
    # It resumes after what it has had.
    rest = await world.first_delivery(
        DOCUMENTS["S16_live"], ada, project=gid(project), after=events[0]["cursor"]
    )
    assert rest.good["taskEvents"]["cursor"] == events[1]["cursor"]


@runs("S17_share")
async def share(world: World) -> None:
    ada, jun = await people(world)
    task = await world.task(ada, "Mend")
    variables: dict[str, Any] = {
        "task": gid(task),
        "user": f"@{jun.username}",
        "permission": "EDIT",
    }
    shared = (await ask(world, "S17_share", ada, **variables)).good["taskShareCreate"]["taskShare"]
    assert shared == {
        "id": shared["id"],
        "permission": "EDIT",
        "isExpired": False,
        "user": {"username": jun.username},
        "task": {"id": gid(task), "shares": {"totalCount": 1}},
    }
    variables["user"] = "@nobody-of-this-name"
    unknown = await ask(world, "S17_share", ada, **variables)
    (error,) = unknown.data["taskShareCreate"]["errors"]
    assert (error["code"], error["path"]) == ("NOT_FOUND", ["input", "userId"])


@runs("S18_timer")
async def timer(world: World) -> None:
    ada = await world.person()
    one, two = await world.tasks(ada, ["one", "two"])
    started = (await ask(world, "S18_timer", ada, task=gid(one))).good["timerStart"]
    assert started["stoppedTimeEntry"] is None
    assert started["timeEntry"]["isRunning"] is True
    again = (await ask(world, "S18_timer", ada, task=gid(two))).good["timerStart"]
    assert again["timeEntry"]["task"]["id"] == gid(two)
    stopped = again["stoppedTimeEntry"]
    assert stopped["id"] == started["timeEntry"]["id"]
    assert (stopped["isRunning"], stopped["task"]["id"]) == (False, gid(one))
    assert type(stopped["duration"]) is int
    assert stopped["endedAt"] is not None


@runs("S22_bulk")
async def bulk(world: World) -> None:
    ada = await world.person()
    one, two = await world.tasks(ada, ["one", "two"])
    items = [
        {"id": gid(one), "status": "COMPLETED", "priority": "HIGH"},
        {"id": gid(two), "status": "COMPLETED", "ifVersion": two.version + 5},
    ]
    tried = await ask(world, "S22_bulk", ada, items=items, dryRun=True)
    assert tried.errors == []
    payload = tried.data["taskBulkUpdate"]
    assert (payload["doneCount"], payload["validCount"]) == (0, 1)
    done = await ask(world, "S22_bulk", ada, items=items, dryRun=False)
    payload = done.data["taskBulkUpdate"]
    assert (payload["doneCount"], payload["validCount"]) == (1, 1)
    good, bad = payload["results"]
    assert good["task"] == {
        "id": gid(one),
        "status": "COMPLETED",
        "priority": "HIGH",
        "version": one.version + 1,
    }
    assert [error["code"] for error in bad["errors"]] == ["CONFLICT"]
    assert bad["task"]["status"] == "TODO"


@runs("S23_upload")
async def upload(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada, "Mend")
    content = b"nails and wood\n"
    variables: dict[str, Any] = {"task": gid(task), "filename": "list.txt", "size": len(content)}
    place = (await ask(world, "S23_upload", ada, "S23Start", **variables)).good
    target = place["attachmentUploadStart"]["upload"]
    url = urlsplit(target["url"])
    sent = await world.http.put(f"{url.path}?{url.query}", content=content)
    assert sent.status_code == 204
    finished = (await ask(world, "S23_upload", ada, "S23Finish", upload=target["id"])).good
    attachment = finished["attachmentUploadFinish"]["attachment"]
    assert attachment["byteSize"] == len(content)
    assert attachment["sha256"] == hashlib.sha256(content).hexdigest()
    assert attachment["task"] == {"id": gid(task), "attachmentCount": 1}
    url = urlsplit(attachment["downloadUrl"])
    assert (await world.http.get(f"{url.path}?{url.query}")).content == content
    limit = world.services.settings.storage.upload_bytes
    variables["size"] = limit + 1
    large = await ask(world, "S23_upload", ada, "S23Start", **variables)
    (error,) = large.data["attachmentUploadStart"]["errors"]
    assert (error["code"], error["path"]) == ("FILE_TOO_LARGE", ["input", "byteSize"])
    assert (error["limit"], error["actual"]) == (limit, limit + 1)


@runs("S24_assign")
async def assign(world: World) -> None:
    ada, jun, project, _key = await team(world)
    task = await world.task(ada, "Mend", project_id=project.id)
    found = (await ask(world, "S24_assign", ada, "S24People", text=jun.username)).good["users"]
    (person,) = [node for node in found["nodes"] if node["username"] == jun.username]
    assert person["displayName"] == "Jun Takahashi"
    # Nothing typed yet: no people, and no error that would empty the page.
    nothing = await ask(world, "S24_assign", ada, "S24People", text="")
    assert nothing.good == {"users": {"nodes": []}}
    variables: dict[str, Any] = {"task": gid(task), "user": person["id"]}
    assigned = (await ask(world, "S24_assign", ada, "S24Assign", **variables)).good
    assert assigned["taskAssign"]["task"] == {
        "id": gid(task),
        "assignee": {"id": gid(jun), "username": jun.username},
        "version": task.version + 1,
    }


@runs("S26_sign_in")
async def sign_in(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada, "Mend", assignee_id=ada.id)
    variables: dict[str, Any] = {"login": ada.email, "password": PASSWORD}
    payload = (await ask(world, "S26_sign_in", None, **variables)).good["sessionCreate"]
    assert payload["session"]["deviceName"] == "Browser"
    assert payload["session"]["isCurrent"] is True
    assert payload["viewer"]["user"]["id"] == gid(ada)
    assert payload["viewer"]["assignedTasks"] == {
        "totalCount": 1,
        "nodes": [{"id": gid(task), "title": "Mend"}],
    }
    boot_ = await ask(world, "S01_boot", f"Bearer {payload['accessToken']}")
    assert boot_.good["viewer"]["user"]["id"] == gid(ada)
    variables["password"] = "not the right one"
    wrong = await ask(world, "S26_sign_in", None, **variables)
    assert wrong.codes == ["INVALID_CREDENTIALS"]
    assert wrong.data["sessionCreate"]["viewer"] is None


@runs("S27_delete")
async def delete_(world: World) -> None:
    ada, _jun, project, _key = await team(world)
    top = await world.task(ada, "top", project_id=project.id)
    middle = await world.task(ada, "middle", project_id=project.id, parent_id=top.id)
    low = await world.task(ada, "low", project_id=project.id, parent_id=middle.id)
    payload = (await ask(world, "S27_delete", ada, task=gid(middle))).good["taskDelete"]
    assert sorted(payload["deletedIds"]) == sorted([gid(middle), gid(low)])
    assert payload["parent"] == {"id": gid(top), "subtaskProgress": {"total": 0, "completed": 0}}
    assert payload["project"] == {"id": gid(project), "stats": {"total": 1, "open": 1}}
    log = (await ask(world, "S13_project_feed", ada, project=gid(project))).good
    deleted = [
        event for event in log["project"]["activity"]["nodes"] if event["kind"] == "TASK_DELETED"
    ]
    assert len(deleted) == 2
