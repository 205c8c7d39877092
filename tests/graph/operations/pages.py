"""What single-page applications show: the documents S01 to S25 that only read."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import select

from db import models
from tests.accounts import PASSWORD
from tests.factories import World, fresh_id, gid
from tests.graph.operations.documents import (
    DAY,
    HOUR,
    UTC,
    api_key,
    ask,
    do,
    iso,
    now,
    people,
    runs,
    team,
)


@runs("S01_boot")
async def boot(world: World) -> None:
    ada = await world.person(full_name="Ada Lovelace")
    signed_out = await ask(world, "S01_boot", None)
    assert signed_out.errors == []
    assert signed_out.data["viewer"] is None
    server = signed_out.data["serverInfo"]
    assert server["isRegistrationOpen"] is True
    assert server["maxUploadBytes"] == world.services.settings.storage.upload_bytes
    assert "image/png" in server["uploadTypes"]
    data = (await ask(world, "S01_boot", ada)).good
    viewer = data["viewer"]
    assert data["serverInfo"] == server
    assert viewer["user"] == {
        "id": gid(ada),
        "username": ada.username,
        "displayName": "Ada Lovelace",
        "avatarUrl": None,
    }
    # A cache must not take the viewer and the user for one object.
    assert viewer["id"] != gid(ada)
    assert (viewer["email"], viewer["isAdmin"]) == (ada.email, False)
    assert (viewer["unreadNotificationCount"], viewer["runningTimer"]) == (0, None)


@runs("S02_my_week")
async def my_week(world: World) -> None:
    ada, jun, project, key = await team(world)
    start = now().replace(hour=0, minute=0, second=0) + 7 * DAY
    status, priority = models.TaskStatus, models.TaskPriority

    async def task(title: str, due: dt.timedelta, **values: Any) -> models.Task:
        values = {"assignee_id": ada.id, "project_id": project.id} | values
        return await world.task(ada, title, due_at=start + due, **values)

    await task("low", 2 * DAY, priority=priority.LOW)
    high = await task("high", 2 * DAY, priority=priority.HIGH)
    await task("working", DAY, status=status.IN_PROGRESS)
    await task("at the start", 0 * DAY)
    await task("at the end", 7 * DAY)
    await task("before", -HOUR)
    await task("cancelled", DAY, status=status.CANCELLED)
    await task("completed", DAY, status=status.COMPLETED)
    await task("Jun's", DAY, assignee_id=jun.id)
    variables: dict[str, Any] = {"from": iso(start), "to": iso(start + 7 * DAY)}
    page = (await ask(world, "S02_my_week", ada, **variables)).good["tasks"]
    titles = [node["title"] for node in page["nodes"]]
    assert titles == ["at the start", "working", "high", "low"]
    assert page["totalCount"] == 4
    assert page["nodes"][2] == {
        "id": gid(high),
        "identifier": f"{key}-{high.number}",
        "title": "high",
        "status": "TODO",
        "priority": "HIGH",
        "dueAt": iso(start + 2 * DAY),
        "dueOn": None,
        "isOverdue": False,
        "project": {"id": gid(project), "key": key, "name": "A project", "color": None},
    }


@runs("S03_board")
async def board(world: World) -> None:
    ada, jun, project, key = await team(world)
    status = models.TaskStatus
    first, second = await world.tasks(ada, ["first", "second"], project_id=project.id)
    await world.task(ada, "below", project_id=project.id, parent_id=first.id)
    await world.task(ada, "going", project_id=project.id, status=status.IN_PROGRESS)
    await world.task(ada, "done", project_id=project.id, status=status.COMPLETED)
    await world.task(ada, "never", project_id=project.id, status=status.CANCELLED)
    by_key = (await ask(world, "S03_board", jun, project=key)).good["project"]
    assert by_key == (await ask(world, "S03_board", jun, project=gid(project))).good["project"]
    columns = {
        name: (by_key[name]["totalCount"], [node["title"] for node in by_key[name]["nodes"]])
        for name in ("todo", "inProgress", "completed")
    }
    assert columns == {
        "todo": (2, ["first", "second"]),
        "inProgress": (1, ["going"]),
        "completed": (1, ["done"]),
    }
    assert by_key["todo"]["nodes"][0]["subtaskProgress"] == {"total": 1, "completed": 0}
    assert (by_key["viewerRole"], by_key["viewerCanCreateTasks"]) == ("EDITOR", True)
    assert by_key["todo"]["nodes"][1]["identifier"] == f"{key}-{second.number}"


@runs("S05_task_panel")
async def task_panel(world: World) -> None:
    ada, jun, project, key = await team(world)
    task = await world.task(
        ada,
        "Mend",
        project_id=project.id,
        assignee_id=jun.id,
        description="**Soon**",
        tags=["wood"],
    )
    sub = await world.task(ada, "Buy nails", project_id=project.id, parent_id=task.id)
    said = await do(world, jun, "commentCreate", "comment { id }", taskId=gid(task), body="*Yes*")
    found = (await ask(world, "S05_task_panel", jun, task=f"{key}-{task.number}")).good["task"]
    person = {"id": gid(jun), "displayName": "Jun Takahashi", "avatarUrl": None}
    assert found["id"] == gid(task)
    assert found["descriptionHtml"].strip() == "<p><strong>Soon</strong></p>"
    assert (found["estimate"], found["tracked"], found["tags"]) == (None, 0, ["wood"])
    assert found["assignee"] == person
    assert found["subtasks"]["nodes"] == [
        {
            "id": gid(sub),
            "identifier": f"{key}-{sub.number}",
            "title": "Buy nails",
            "status": "TODO",
        }
    ]
    (comment,) = found["comments"]["nodes"]
    assert comment["id"] == said["comment"]["id"]
    assert (comment["bodyHtml"].strip(), comment["author"]) == ("<p><em>Yes</em></p>", person)
    assert (comment["replyCount"], comment["viewerCanEdit"]) == (0, True)
    assert [event["kind"] for event in found["activity"]["nodes"]][-1] == "TASK_CREATED"
    # Jun edits as an editor, and does not own it.
    rights = ("viewerCanEdit", "viewerCanComment", "viewerCanDelete", "viewerCanShare")
    assert [found[right] for right in rights] == [True, True, False, False]


@runs("S06_history")
async def history(world: World) -> None:
    ada, jun, project, key = await team(world)
    task = await world.task(ada, "Mend", project_id=project.id)
    await do(world, ada, "taskAssign", "task { id }", id=gid(task), assigneeId=gid(jun))
    await do(world, ada, "taskUpdate", "task { id }", id=gid(task), title="Mend the gate")
    members = (await ask(world, "I14_members", ada, "I14Members", project=key)).good["project"]
    (member,) = [
        node["id"] for node in members["members"]["nodes"] if node["user"]["id"] == gid(jun)
    ]
    await do(world, ada, "projectMemberRemove", "deletedId", id=member)
    project_ = (await ask(world, "S06_history", ada, project=key)).good["project"]
    events = project_["activity"]["nodes"]
    assert sorted(event["kind"] for event in events) == [
        "PROJECT_MEMBER_REMOVED",
        "TASK_ASSIGNED",
        "TASK_ASSIGNED",
        "TASK_UPDATED",
    ]
    assigned = events[-1]
    name = {"displayName": "Jun Takahashi"}
    assert assigned["subject"] == {
        "__typename": "Task",
        "identifier": f"{key}-{task.number}",
        "title": "Mend the gate",
    }
    assert assigned["changes"] == [
        {
            "__typename": "NodeChange",
            "field": "assignee",
            "oldId": None,
            "newId": gid(jun),
            "oldNode": None,
            "newNode": name,
        }
    ]
    (renamed,) = [event for event in events if event["kind"] == "TASK_UPDATED"]
    assert renamed["changes"] == [
        {
            "__typename": "TextChange",
            "field": "title",
            "oldText": "Mend",
            "newText": "Mend the gate",
        }
    ]
    (removed,) = [event for event in events if event["kind"] == "PROJECT_MEMBER_REMOVED"]
    assert name in [change.get("oldNode") for change in removed["changes"]]
    assert removed["actor"] == {"displayName": "Ada Lovelace"}
    # Removed by somebody else: nobody "left".
    assert "left" not in removed["summary"]
    assert "Jun Takahashi" in removed["summary"]


@runs("S09_unassigned")
async def unassigned(world: World) -> None:
    ada, jun, project, key = await team(world)
    priority = models.TaskPriority
    await world.task(ada, "taken", project_id=project.id, assignee_id=jun.id)
    await world.task(ada, "calm", project_id=project.id, priority=priority.LOW)
    await world.task(ada, "urgent", project_id=project.id, priority=priority.URGENT)
    await world.task(ada, "done", project_id=project.id, status=models.TaskStatus.COMPLETED)
    await world.task(ada, "elsewhere")
    page = (await ask(world, "S09_unassigned", ada, key=key)).good["tasks"]
    assert page["totalCount"] == 2
    assert [(node["title"], node["priority"]) for node in page["nodes"]] == [
        ("urgent", "URGENT"),
        ("calm", "LOW"),
    ]


@runs("S10_personal")
async def personal(world: World) -> None:
    ada, _jun, project, key = await team(world)
    await world.task(ada, "in the project", project_id=project.id)
    own = await world.tasks(ada, ["b", "a"])
    await world.task(ada, "over", status=models.TaskStatus.CANCELLED)
    viewer = (await ask(world, "S10_personal", ada)).good["viewer"]
    assert viewer["ownedTasks"] == {
        "totalCount": 2,
        "nodes": [
            {"id": gid(task), "identifier": None, "title": task.title, "dueAt": None}
            for task in own
        ],
    }
    assert viewer["user"]["ownedProjects"]["nodes"] == [
        {"id": gid(project), "key": key, "name": "A project"}
    ]


@runs("S11_overdue_by_assignee")
async def overdue_by_assignee(world: World) -> None:
    ada, jun, project, key = await team(world)
    late = {"project_id": project.id, "due_at": now() - DAY}
    priority = models.TaskPriority
    await world.task(ada, "1", assignee_id=jun.id, priority=priority.HIGH, **late)
    await world.task(ada, "2", assignee_id=jun.id, priority=priority.LOW, **late)
    await world.task(ada, "3", assignee_id=ada.id, **late)
    await world.task(ada, "4", **late)
    await world.task(ada, "in time", project_id=project.id, assignee_id=jun.id)
    await world.task(ada, "done", assignee_id=jun.id, status=models.TaskStatus.COMPLETED, **late)
    stats = (await ask(world, "S11_overdue_by_assignee", ada, key=key)).good["taskStats"]
    assert (stats["total"], stats["overdue"]) == (4, 4)
    groups = {
        group["assignee"] and group["assignee"]["username"]: (
            group["total"],
            group["overdue"],
            {inner["priority"]: inner["total"] for inner in group["groups"]},
        )
        for group in stats["groups"]
    }
    assert groups == {
        jun.username: (2, 2, {"HIGH": 1, "LOW": 1}),
        ada.username: (1, 1, {"NONE": 1}),
        None: (1, 1, {"NONE": 1}),
    }
    assert {group["by"] for group in stats["groups"]} == {"ASSIGNEE"}


@runs("S12_trash")
async def trash(world: World) -> None:
    ada, jun, project, key = await team(world)
    parent = await world.task(ada, "parent", project_id=project.id)
    await world.task(ada, "child", project_id=project.id, parent_id=parent.id)
    restored = await world.task(ada, "restored", project_id=project.id)
    other = await world.project(ada, name="Other")
    await do(world, ada, "taskDelete", "deletedIds", id=gid(restored))
    await do(world, ada, "taskRestore", "task { id }", id=gid(restored))
    await do(world, ada, "taskDelete", "deletedIds", id=gid(parent))
    await do(world, ada, "projectDelete", "deletedId", id=gid(other))
    page = (await ask(world, "S12_trash", ada)).good["trash"]
    first, *tasks = page["nodes"]
    assert page["totalCount"] == 3
    assert (first["__typename"], first["name"]) == ("Project", "Other")
    assert {task["title"] for task in tasks} == {"parent", "child"}
    assert {task["project"]["key"] for task in tasks} == {key}
    assert all(node["deletedAt"] for node in page["nodes"])
    # Who may not restore it finds nothing in it.
    stranger = await world.person()
    assert (await ask(world, "S12_trash", stranger)).good["trash"]["nodes"] == []
    assert (await ask(world, "S12_trash", jun)).good["trash"]["nodes"] == []


@runs("S13_project_feed")
async def project_feed(world: World) -> None:
    ada, jun, project, key = await team(world)
    task = await world.task(jun, "Mend", project_id=project.id)
    await world.task(ada, "Personal")
    await do(world, ada, "commentCreate", "comment { id }", taskId=gid(task), body="Well")
    feed = (await ask(world, "S13_project_feed", jun, project=key)).good["project"]["activity"]
    latest, made, added, created = feed["nodes"]
    assert [event["kind"] for event in feed["nodes"]] == [
        "COMMENT_CREATED",
        "TASK_CREATED",
        "PROJECT_MEMBER_ADDED",
        "PROJECT_CREATED",
    ]
    assert latest["task"] == {
        "id": gid(task),
        "identifier": f"{key}-{task.number}",
        "title": "Mend",
    }
    assert latest["actor"] == {"id": gid(ada), "displayName": "Ada Lovelace"}
    assert made["actor"]["id"] == gid(jun)
    assert {event["via"] for event in feed["nodes"]} == {"SESSION"}
    # The page after an event holds what came before it.
    older = await ask(world, "S13_project_feed", jun, project=key, after=made["cursor"])
    assert older.good["project"]["activity"]["nodes"] == [added, created]


@runs("S14_inbox")
async def inbox(world: World) -> None:
    ada, jun, project, key = await team(world)
    task = await world.task(ada, "Mend", project_id=project.id)
    said = await do(
        world, jun, "commentCreate", "comment { id url }", taskId=gid(task), body="Well"
    )
    async with world.database.session() as session:
        comment_id = await session.scalar(
            select(models.Comment.id).where(models.Comment.task_id == task.id)
        )
    common = {"recipient_id": ada.id, "actor_id": jun.id, "in_app": True, "email": False}
    kind = models.NotificationKind
    on_task: dict[str, Any] = {"kind": kind.TASK_ASSIGNED_TO_ME, "task_id": task.id}
    on_comment = {
        "kind": kind.COMMENT_ON_MY_TASK,
        "task_id": task.id,
        "comment_id": comment_id,
    }
    told = [on_task | {"read_at": now()}, on_task, on_comment]
    await world.rows(
        *(
            models.Notification(id=fresh_id(), created_at=now() + i * HOUR, **common, **values)
            for i, values in enumerate(told)
        )
    )
    viewer = (await ask(world, "S14_inbox", ada)).good["viewer"]
    assert viewer["unreadNotificationCount"] == 2
    comment, assigned = viewer["notifications"]["nodes"]
    assert comment["kind"] == "COMMENT_ON_MY_TASK"
    assert comment["subject"] == {
        "__typename": "Comment",
        "bodyText": "Well",
        "url": said["comment"]["url"],
        "task": {"identifier": f"{key}-{task.number}"},
    }
    assert assigned["subject"]["__typename"] == "Task"
    assert assigned["subject"]["identifier"] == f"{key}-{task.number}"
    assert assigned["actor"] == {"displayName": "Jun Takahashi"}


@runs("S15_settings")
async def settings_page(world: World) -> None:
    ada = await world.person(full_name="Ada Lovelace", timezone="Europe/Zurich")
    await do(
        world, ada, "deviceCreate", "device { id }", platform="ANDROID", target={"token": "t" * 40}
    )
    viewer = (await ask(world, "S15_settings", ada)).good["viewer"]
    assert viewer["user"]["username"] == ada.username
    assert viewer["user"]["fullName"] == "Ada Lovelace"
    assert (viewer["email"], viewer["timezone"]) == (ada.email, "Europe/Zurich")
    preferences = viewer["notificationPreferences"]
    assert preferences["isEmailEnabled"] is True
    assert preferences["mentioned"]["inApp"] is True
    (device,) = viewer["devices"]["nodes"]
    assert device["platform"] == "ANDROID"
    # Without a name of its own a device is called as its platform.
    assert device["name"]


@runs("S19_week")
async def week(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada, "Mend")
    day = dt.datetime(2026, 3, 2, tzinfo=UTC)
    for start, hours, billable in ((day + 9 * HOUR, 2, True), (day + DAY, 1, False)):
        await do(
            world,
            ada,
            "timeEntryCreate",
            "timeEntry { id }",
            taskId=gid(task),
            isBillable=billable,
            time={"range": {"startedAt": iso(start), "endedAt": iso(start + hours * HOUR)}},
        )
    await do(
        world,
        ada,
        "timeEntryCreate",
        "timeEntry { id }",
        time={"day": {"day": "2026-03-09", "duration": 60}},
    )
    variables: dict[str, Any] = {
        "firstDay": "2026-03-02",
        "lastDay": "2026-03-08",
        "from": iso(day),
        "to": iso(day + 7 * DAY),
        "timezone": "UTC",
    }
    data = (await ask(world, "S19_week", ada, **variables)).good
    assert [node["duration"] for node in data["timeEntries"]["nodes"]] == [7200, 3600]
    assert data["timeReport"] == {
        "timezone": "UTC",
        "total": 10800,
        "billable": 7200,
        "count": 2,
        "groups": [
            {"by": "DAY", "day": "2026-03-02", "total": 7200, "billable": 7200, "count": 1},
            {"by": "DAY", "day": "2026-03-03", "total": 3600, "billable": 0, "count": 1},
        ],
    }


@runs("S20_exports")
async def exports(world: World) -> None:
    ada, jun = await people(world)
    made = [
        (
            await do(
                world,
                ada,
                "reportExportCreate",
                "reportExport { id }",
                format=format_,
                timezone="Europe/Zurich",
            )
        )["reportExport"]["id"]
        for format_ in ("CSV", "PDF")
    ]
    page = (await ask(world, "S20_exports", ada)).good["viewer"]["reportExports"]
    assert page["totalCount"] == 2
    assert [node["id"] for node in page["nodes"]] == made[::-1]
    newest = page["nodes"][0]
    assert (newest["format"], newest["timezone"]) == ("PDF", "Europe/Zurich")
    assert newest["status"] in {"QUEUED", "RUNNING", "DONE"}
    assert newest["failureReason"] is None
    nothing = (await ask(world, "S20_exports", jun)).good["viewer"]["reportExports"]
    assert nothing == {"totalCount": 0, "nodes": []}


@runs("S21_search_in_project")
async def search_in_project(world: World) -> None:
    ada, _jun, project, key = await team(world)
    word = f"quince{fresh_id().hex}"
    task = await world.task(ada, f"Plant the {word}", project_id=project.id)
    await world.task(ada, f"Another {word}")
    await do(world, ada, "commentCreate", "comment { id }", taskId=gid(task), body=f"A {word}!")
    page = (await ask(world, "S21_search_in_project", ada, text=word, key=key)).good["search"]
    assert page["totalCount"] == 2
    subjects = {node["kind"]: node["subject"] for node in page["nodes"]}
    assert subjects["TASK"] == {
        "__typename": "Task",
        "id": gid(task),
        "identifier": f"{key}-{task.number}",
        "title": f"Plant the {word}",
        "tags": [],
    }
    assert subjects["COMMENT"]["bodyText"] == f"A {word}!"
    assert all(word in node["fragments"][0]["html"] for node in page["nodes"])


@runs("S25_security")
async def security(world: World) -> None:
    ada, _jun, project, key = await team(world)
    kept = await api_key(world, ada, "kept", ["TASKS_READ"], projectIds=[gid(project)])
    gone = await api_key(world, ada, "gone", ["READ"])
    await do(world, ada, "apiKeyRevoke", "apiKey { id }", id=gone["apiKey"]["id"])
    before = (await ask(world, "S25_security", ada)).good["viewer"]["sessions"]["nodes"]
    await ask(world, "S26_sign_in", None, login=ada.email, password=PASSWORD)
    viewer = (await ask(world, "S25_security", ada)).good["viewer"]
    sessions = viewer["sessions"]["nodes"]
    assert len(sessions) == len(before) + 1
    (current,) = [session["id"] for session in sessions if session["isCurrent"]]
    assert viewer["credentials"]["session"] == {"id": current}
    assert viewer["credentials"]["apiKey"] is None
    (node,) = viewer["apiKeys"]["nodes"]
    assert (node["id"], node["name"]) == (kept["apiKey"]["id"], "kept")
    assert node["scopes"] == ["TASKS_READ"]
    assert node["projects"] == [{"key": key}]
