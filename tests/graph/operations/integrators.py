"""What integrators ask (I01 to I16)."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import select

from db import models
from tests.factories import World, fresh_id, gid, own_world
from tests.graph.operations.documents import (
    HOUR,
    api_key,
    ask,
    do,
    iso,
    now,
    runs,
    team,
)


@runs("I01_I02_by_key")
async def by_key(world: World) -> None:
    ada, _jun, project, key = await team(world)
    task = await world.task(ada, "Mend", project_id=project.id)
    bot = await api_key(world, ada, "bot", ["TASKS_WRITE", "COMMENTS_WRITE", "PROJECTS_READ"])
    identifier = f"{key}-{task.number}"
    variables: dict[str, Any] = {"task": identifier, "text": "Fixed by **a1b2c3**"}
    data = (await ask(world, "I01_I02_by_key", f"Bearer {bot['secret']}", **variables)).good
    comment = data["commentCreate"]["comment"]
    assert comment["task"] == {"identifier": identifier}
    assert "<strong>a1b2c3</strong>" in comment["bodyHtml"]
    done = data["taskComplete"]["task"]
    assert (done["id"], done["status"]) == (gid(task), "COMPLETED")
    variables["task"] = f"{key}-999"
    missing = await ask(world, "I01_I02_by_key", f"Bearer {bot['secret']}", **variables)
    assert missing.codes == ["NOT_FOUND", "NOT_FOUND"]
    assert missing.user_errors[0]["path"] == ["input", "taskId"]
    assert missing.user_errors[1]["path"] == ["input", "id"]


@runs("I03_mirror")
async def mirror(world: World) -> None:
    ada = await world.person()
    made = await world.tasks(ada, [f"task {number}" for number in range(101)])
    first = (await ask(world, "I03_mirror", ada)).good
    page = first["tasks"]
    assert page["pageInfo"]["hasNextPage"] is True
    last = await ask(world, "I03_mirror", ada, after=page["pageInfo"]["endCursor"])
    found = page["nodes"] + last.good["tasks"]["nodes"]
    assert [node["id"] for node in found] == [gid(task) for task in made]
    # What is made after the first page comes by the log.
    new = await world.task(ada, "new")
    query = "query ($c: String) { events(after: $c, first: 1) { nodes { kind subjectId } } }"
    log = (await world.post(query, ada, c=first["eventCursor"])).good["events"]
    assert log["nodes"] == [{"kind": "TASK_CREATED", "subjectId": gid(new)}]


@runs("I04_follow")
async def follow(world: World) -> None:
    ada, jun, project, _key = await team(world)
    start = (await world.post("{ eventCursor }", jun)).good["eventCursor"]
    empty = (await ask(world, "I04_follow", jun, after=start)).good["events"]
    assert empty["nodes"] == []
    # A place to go on from, also where there is nothing.
    assert empty["pageInfo"]["endCursor"] is not None
    assert empty["pageInfo"]["hasNextPage"] is False
    task = await world.task(ada, "Mend", project_id=project.id)
    await do(world, jun, "taskUpdate", "task { id }", id=gid(task), title="Jun's own act")
    await do(world, ada, "taskDelete", "deletedIds", id=gid(task))
    page = await ask(world, "I04_follow", jun, after=empty["pageInfo"]["endCursor"])
    events = page.good["events"]
    assert [event["kind"] for event in events["nodes"]] == ["TASK_CREATED", "TASK_DELETED"]
    assert {event["subjectId"] for event in events["nodes"]} == {gid(task)}
    rest = await ask(world, "I04_follow", jun, after=events["pageInfo"]["endCursor"])
    assert rest.good["events"]["nodes"] == []


@runs("I05_webhook_for_me")
async def webhook_for_me(world: World) -> None:
    ada = await world.person()
    variables: dict[str, Any] = {
        "url": "https://hooks.example.com/in",
        "payload": "{ kind task { identifier title status } }",
    }
    made = (await ask(world, "I05_webhook_for_me", ada, **variables)).good["webhookCreate"]
    assert made["secret"].startswith("whsec_")
    webhook = made["webhook"]
    assert (webhook["name"], webhook["status"]) == ("Assigned to me", "ACTIVE")
    # Stored as it was written: "me" is asked at each event, and needs no ID.
    assert webhook["filter"] == {
        "kind": {"in": ["TASK_ASSIGNED", "TASK_CREATED"]},
        "task": {"assignee": {"isMe": True}, "isOpen": True},
    }
    variables["payload"] = "{ nothing }"
    bad = await ask(world, "I05_webhook_for_me", ada, **variables)
    (error,) = bad.data["webhookCreate"]["errors"]
    assert (error["code"], error["path"][:2]) == ("BAD_USER_INPUT", ["input", "payload"])


@runs("I06_my_key")
async def my_key(world: World) -> None:
    ada, _jun, project, key = await team(world)
    scopes = ["FILES_READ", "PROJECTS_READ"]
    made = await api_key(world, ada, "CI", scopes, projectIds=[gid(project)])
    header = f"Bearer {made['secret']}"
    answers = [(await ask(world, "I06_my_key", header)).good for _ in range(4)]
    assert answers == [answers[0]] * 4
    credentials = answers[0]["viewer"]["credentials"]
    assert credentials["apiKey"]["id"] == made["apiKey"]["id"]
    assert credentials["apiKey"]["name"] == "CI"
    assert sorted(credentials["scopes"]) == scopes
    assert credentials["projects"] == [{"id": gid(project), "key": key}]
    assert (credentials["session"], credentials["expiresAt"]) == (None, None)
    session = (await ask(world, "I06_my_key", ada)).good["viewer"]["credentials"]
    assert (session["apiKey"], session["scopes"], session["projects"]) == (None, None, None)


@runs("I07_import")
async def import_(world: World) -> None:
    ada, _jun, project, _key = await team(world)

    def item(number: int) -> dict[str, Any]:
        reference = {
            "source": "jira",
            "externalId": f"OLD-{number}",
            "url": f"https://jira.example.com/OLD-{number}",
        }
        return {
            "title": f"issue {number}",
            "projectId": gid(project),
            "externalReferences": [reference],
        }

    first = (await ask(world, "I07_import", ada, items=[item(1), item(2)])).good["taskBulkCreate"]
    assert (first["doneCount"], first["validCount"]) == (2, 2)
    task = first["results"][0]["task"]
    assert task["externalReferences"] == item(1)["externalReferences"]
    again = await ask(world, "I07_import", ada, items=[item(1), item(3)])
    payload = again.data["taskBulkCreate"]
    assert (payload["doneCount"], payload["validCount"]) == (1, 1)
    known, new = payload["results"]
    assert [error["code"] for error in known["errors"]] == ["ALREADY_EXISTS"]
    assert known["task"] == task
    assert (new["errors"], new["task"]["title"]) == ([], "issue 3")


@runs("I08_correct_time")
async def correct_time(world: World) -> None:
    ada = await world.person()
    made = [
        (
            await do(
                world,
                ada,
                "timeEntryCreate",
                "timeEntry { id version }",
                time={"day": {"day": f"2026-03-0{day}", "duration": 3600}},
            )
        )["timeEntry"]
        for day in (2, 3)
    ]
    items = [
        {
            "id": made[0]["id"],
            "isBillable": True,
            "time": {"day": {"day": "2026-03-02", "duration": 5400}},
        },
        {"id": made[1]["id"], "isBillable": True, "ifVersion": made[1]["version"] + 1},
    ]
    tried = (await ask(world, "I08_correct_time", ada, items=items, dryRun=True)).data
    assert tried["timeEntryBulkUpdate"]["doneCount"] == 0
    assert tried["timeEntryBulkUpdate"]["validCount"] == 1
    payload = (await ask(world, "I08_correct_time", ada, items=items)).data["timeEntryBulkUpdate"]
    good, late = payload["results"]
    assert good["timeEntry"] == {
        "id": made[0]["id"],
        "isBillable": True,
        "duration": 5400,
        "version": made[0]["version"] + 1,
    }
    assert [error["code"] for error in late["errors"]] == ["CONFLICT"]
    assert late["errors"][0]["conflictingFields"] == ["isBillable"]
    assert late["timeEntry"]["isBillable"] is False


@runs("I09_invoice")
async def invoice(world: World) -> None:
    ada, jun, project, key = await team(world)
    task = await world.task(ada, "Mend", project_id=project.id)
    for who, seconds, billable in ((ada, 3600, True), (jun, 1800, True), (jun, 600, False)):
        await do(
            world,
            who,
            "timeEntryCreate",
            "timeEntry { id }",
            taskId=gid(task),
            isBillable=billable,
            time={"day": {"day": "2026-03-31", "duration": seconds}},
        )
    variables = {
        "key": key,
        "firstDay": "2026-03-01",
        "lastDay": "2026-03-31",
        "timezone": "UTC",
    }
    report = (await ask(world, "I09_invoice", ada, None, **variables)).good["timeReport"]
    assert (report["total"], report["billable"], report["count"]) == (5400, 5400, 2)
    totals = {group["user"]["username"]: group for group in report["groups"]}
    assert {name: group["total"] for name, group in totals.items()} == {
        ada.username: 3600,
        jun.username: 1800,
    }
    (inner,) = totals[jun.username]["groups"]
    assert inner["task"] == {"identifier": f"{key}-{task.number}", "title": "Mend"}
    assert [entry["duration"] for entry in inner["timeEntries"]["nodes"]] == [1800]


@runs("I10_failed_again")
async def failed_again(world: World) -> None:
    ada = await world.person()
    webhook = (
        await do(world, ada, "webhookCreate", "webhook { id }", url="https://hooks.example.com/in")
    )["webhook"]["id"]
    begun = now()
    tasks = [await world.task(ada, title) for title in ("failed", "delivered")]
    async with world.database.session() as session:
        row = await session.scalar(select(models.Webhook).where(models.Webhook.user_id == ada.id))
        assert row is not None
        events = {
            event.subject_id: event.id
            for event in await session.scalars(
                select(models.Event).where(models.Event.actor_id == ada.id)
            )
        }
    states = (models.DeliveryState.FAILED, models.DeliveryState.DELIVERED)
    await world.rows(
        *(
            models.WebhookDelivery(
                id=fresh_id(),
                webhook_id=row.id,
                event_id=events[task.id],
                is_test=False,
                state=state,
                created_at=begun,
            )
            for task, state in zip(tasks, states, strict=True)
        )
    )
    shown = (await ask(world, "I10_failed_again", ada, "I10Failed", webhook=webhook)).good
    deliveries = shown["webhook"]["deliveries"]
    assert shown["webhook"]["name"] == "hooks.example.com"
    assert deliveries["totalCount"] == 1
    (delivery,) = deliveries["nodes"]
    assert (delivery["status"], delivery["event"]["kind"]) == ("FAILED", "TASK_CREATED")
    assert delivery["attemptCount"] == len(delivery["attempts"]["nodes"])
    window = {"after": iso(begun - HOUR), "before": iso(begun + HOUR)}
    again = await ask(world, "I10_failed_again", ada, "I10Again", webhook=webhook, **window)
    assert again.good["webhookReplay"]["eventCount"] == 1


@runs("I11_external_id")
async def external_id(world: World) -> None:
    ada, jun, project, key = await team(world)
    source = f"jira-{fresh_id().hex}"
    reference = {"source": source, "externalId": "OLD-7", "url": None}
    made = (
        await do(
            world,
            ada,
            "taskCreate",
            "task { id }",
            title="Mend",
            projectId=key,
            externalReferences=[reference],
        )
    )["task"]["id"]
    await world.task(ada, "another", project_id=project.id)
    variables: dict[str, Any] = {"source": source, "externalId": "OLD-7"}
    assert (await ask(world, "I11_external_id", jun, **variables)).good["tasks"] == {
        "totalCount": 1,
        "nodes": [
            {
                "id": made,
                "identifier": f"{key}-1",
                "title": "Mend",
                "externalReferences": [reference],
            }
        ],
    }
    stranger = await world.person()
    unseen = (await ask(world, "I11_external_id", stranger, **variables)).good["tasks"]
    assert unseen == {"totalCount": 0, "nodes": []}


@runs("I12_link")
async def link(world: World) -> None:
    ada, _jun, project, key = await team(world, name="Garden")
    task = await world.task(
        ada, "Mend", project_id=project.id, description="<script>x</script> **Soon**"
    )
    await do(world, ada, "commentCreate", "comment { id }", taskId=gid(task), body="Well")
    identifier = f"{key}-{task.number}"
    found = (await ask(world, "I12_link", ada, task=identifier)).good["task"]
    assert (found["identifier"], found["title"]) == (identifier, "Mend")
    assert "<strong>Soon</strong>" in found["descriptionHtml"]
    assert "<script" not in found["descriptionHtml"]
    (comment,) = found["comments"]["nodes"]
    front = world.services.settings.server.frontend_url or ""
    links = [found["url"], found["project"]["url"], comment["url"]]
    assert len(set(links)) == 3
    for url in links:
        assert re.match(r"https?://", url)
        assert url.startswith(front)
    # By its ID, so that the link lasts when the task moves and gets another identifier.
    assert found["url"].endswith(f"/tasks/{gid(task)}")
    # A comment is a place on the page of its task.
    assert comment["url"].startswith(found["url"])


@runs("I13_estimates")
async def estimates(world: World) -> None:
    ada, jun, project, key = await team(world)
    ids = {}
    for title, seconds in (("small", 900), ("large", 7200)):
        ids[title] = (
            await do(
                world,
                ada,
                "taskCreate",
                "task { id identifier estimate }",
                title=title,
                projectId=key,
                estimate=seconds,
            )
        )["task"]
    await world.task(ada, "without", project_id=project.id)
    sub = await do(
        world,
        ada,
        "taskCreate",
        "task { id }",
        title="sub",
        projectId=key,
        parentId=ids["large"]["id"],
    )
    for who, task, seconds in ((ada, ids["large"]["id"], 3600), (jun, sub["task"]["id"], 61)):
        await do(
            world,
            who,
            "timeEntryCreate",
            "timeEntry { id }",
            taskId=task,
            time={"day": {"day": "2026-03-02", "duration": seconds}},
        )
    nodes = (await ask(world, "I13_estimates", ada, key=key)).good["tasks"]["nodes"]
    assert nodes == [
        {"identifier": ids["large"]["identifier"], "estimate": 7200, "tracked": 3661},
        {"identifier": ids["small"]["identifier"], "estimate": 900, "tracked": 0},
    ]
    assert all(type(node["tracked"]) is int for node in nodes)


@runs("I14_members")
async def members(world: World) -> None:
    ada, jun, project, key = await team(world)
    kim = await world.person()
    await do(
        world,
        ada,
        "projectMemberAdd",
        "projectMember { id }",
        projectId=key,
        userId=f"@{kim.username}",
        role="VIEWER",
    )
    await world.task(ada, "one", project_id=project.id, assignee_id=jun.id)
    await world.task(ada, "two", project_id=project.id, assignee_id=jun.id)
    found = (await ask(world, "I14_members", ada, "I14Members", project=key)).good["project"]
    assert found["viewerCanManageMembers"] is True
    assert [(node["role"], node["user"]["username"]) for node in found["members"]["nodes"]] == [
        ("OWNER", ada.username),
        ("EDITOR", jun.username),
    ]
    member = found["members"]["nodes"][1]
    late = await ask(
        world,
        "I14_members",
        ada,
        "I14Remove",
        member=member["id"],
        ifVersion=member["version"] + 1,
    )
    assert late.codes == ["CONFLICT"]
    variables: dict[str, Any] = {"member": member["id"], "ifVersion": member["version"]}
    removed = (await ask(world, "I14_members", ada, "I14Remove", **variables)).good
    assert removed["projectMemberRemove"] == {
        "deletedId": member["id"],
        "unassignedTaskCount": 2,
        "project": {"id": gid(project), "members": {"totalCount": 2}},
        "errors": [],
    }


@runs("I15_admin")
async def admin_report(world: World) -> None:
    # It reads the newest of everybody's rows: other tests create some in the future.
    async with own_world(world.services.settings) as own:
        await report_of(own)


async def report_of(world: World) -> None:
    since = now()
    ada = await world.person()
    admin = await world.house.admin()
    made = await api_key(world, ada, "CI", ["READ"])
    data = (await ask(world, "I15_admin", admin, since=iso(since))).good
    (account,) = [
        node for node in data["adminUsers"]["nodes"] if node["user"]["username"] == ada.username
    ]
    assert account["email"] == ada.email
    assert (account["isActive"], account["isAdmin"]) == (True, False)
    (event,) = [
        event
        for event in data["adminAuditLog"]["nodes"]
        if event["kind"] == "API_KEY_CREATED" and event["actor"] == {"username": ada.username}
    ]
    assert event["via"] == "SESSION"
    assert event["session"] is not None
    # The key itself is its owner's alone.
    assert event["subject"] is None
    assert event["subjectId"] == made["apiKey"]["id"]
    assert data["adminJobQueue"]["workers"] >= 0
    # Three refusals leave their neighbour alone.
    other = await ask(world, "I15_admin", ada, since=iso(since))
    assert other.status == 200
    assert other.codes == ["FORBIDDEN"] * 3
    assert [error["path"] for error in other.errors] == [
        ["adminUsers"],
        ["adminAuditLog"],
        ["adminJobQueue"],
    ]
    assert other.data == {
        "adminUsers": None,
        "adminAuditLog": None,
        "adminJobQueue": None,
        "serverInfo": data["serverInfo"],
    }


@runs("I16_cost")
async def cost(world: World) -> None:
    ada = await world.person()
    reply = await ask(world, "I16_cost", ada)
    limit = reply.good["rateLimit"]
    # 100 tasks with a person each: 1 + 200 / 50.
    assert limit["cost"] == 5
    assert reply.extensions["cost"]["requested"] == 5
    assert 0 <= limit["remaining"] <= limit["limit"]
