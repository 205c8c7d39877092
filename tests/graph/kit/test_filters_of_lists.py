"""Every criterion of the lists beside tasks and projects: time, files, notices, jobs, deliveries,
the activity. Each list has two to four entries, told apart by every column.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import delete

from db import models
from db.models import (
    Connector,
    DeliveryState,
    ExportFormat,
    ExportState,
    IntegrationStatus,
    JobState,
    NotificationKind,
    WebhookStatus,
)
from events.kinds import EventKind
from graph.core import ids
from tests.accounts import Person
from tests.factories import World, fresh_id, gid, new_key
from tests.graph.kit.criteria import named, short

# How each list is asked for; the last word of a label is the letter of an entry.
LISTS = {
    "TimeEntryFilter": """query ($filter: TimeEntryFilter!) {
      timeEntries(filter: $filter) { nodes { label: description } totalCount } }""",
    "AttachmentFilter": """query ($filter: AttachmentFilter!, $task: ID!) {
      task(id: $task) { attachments(filter: $filter) {
        nodes { label: filename } totalCount } } }""",
    "NotificationFilter": """query ($filter: NotificationFilter!) {
      viewer { notifications(filter: $filter) { nodes { label: message } totalCount } } }""",
    "JobFilter": """query ($filter: JobFilter!) {
      adminJobs(filter: $filter) { nodes { label: name } totalCount } }""",
    "WebhookDeliveryFilter": """query ($filter: WebhookDeliveryFilter!, $webhook: ID!) {
      webhook(id: $webhook) { deliveries(filter: $filter) {
        nodes { label: failureReason } totalCount } } }""",
    "ApiKeyFilter": """query ($filter: ApiKeyFilter!) {
      viewer { apiKeys(filter: $filter) { nodes { label: name } totalCount } } }""",
    "DeviceFilter": """query ($filter: DeviceFilter!) {
      viewer { devices(filter: $filter) { nodes { label: name } totalCount } } }""",
    "IntegrationFilter": """query ($filter: IntegrationFilter!) {
      viewer { integrations(filter: $filter) { nodes { label: failureReason } totalCount } } }""",
    "WebhookFilter": """query ($filter: WebhookFilter!) {
      viewer { webhooks(filter: $filter) { nodes { label: name } totalCount } } }""",
    "ReportExportFilter": """query ($filter: ReportExportFilter!) {
      viewer { reportExports(filter: $filter) { nodes { label: failureReason } totalCount } } }""",
    "EventFilter": """query ($filter: EventFilter!) {
      viewer { activity(filter: $filter) { nodes { label: requestId } totalCount } } }""",
    "TagFilter": """query ($filter: TagFilter!) {
      tags(filter: $filter) { nodes { label: name } totalCount } }""",
    "TaskFilter": """query ($filter: TaskFilter!) {
      tasks(filter: $filter) { nodes { label: title } totalCount } }""",
}
REPORT = """query ($filter: TimeReportFilter!) {
  timeReport(filter: $filter, timezone: "UTC") { count total } }"""

DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)
# A Sunday morning, long ago; `THEN + DAY` is told from it by `NEXT`.
THEN = dt.datetime(2020, 1, 5, 9, tzinfo=dt.UTC)
NEXT = "2020-01-06T00:00:00Z"


class Fixtures:
    """Who asks for each list, and what filters name."""

    def __init__(self, owner: Person, admin: Person, names: dict[str, str]) -> None:
        self.owner = owner
        self.admin = admin
        self.names = names


def _common(at: dt.datetime = THEN) -> dict[str, Any]:
    return {"id": fresh_id(), "created_at": at, "updated_at": at, "version": 1}


@pytest_asyncio.fixture(scope="module")
async def fixtures(world: World) -> AsyncIterator[Fixtures]:
    owner = await world.person(full_name="Olga Owner")
    helper = await world.person(full_name="Hugo Helper")
    project = await world.project(owner, name="Alpha ship", editors=[helper])
    task = await world.task(owner, "task A", project_id=project.id, tags=("flag A",))
    other = await world.task(owner, "task B", project_id=project.id, tags=("Flag A", "flag B"))
    beta = await world.project(owner, name="Beta")
    names = {"owner": gid(owner), "helper": gid(helper), "project": gid(project)}
    names |= {"task": gid(task), "other": gid(other)}

    on_task = {"project_id": project.id, "task_id": task.id}
    entries = [
        models.TimeEntry(
            user_id=owner.id,
            description="meeting A",
            started_at=THEN,
            ended_at=THEN + HOUR,
            is_billable=True,
            tags=["Red"],
            tag_keys=["red"],
            **on_task,
            **_common(),
        ),
        models.TimeEntry(
            user_id=owner.id,
            description="call B",
            started_at=THEN + HOUR / 2,
            ended_at=THEN + 2 * HOUR,
            project_id=project.id,
            **_common(THEN + DAY),
        ),
        models.TimeEntry(
            user_id=helper.id,
            description="work C",
            started_at=THEN.replace(hour=0) + DAY,
            ended_at=THEN.replace(hour=0) + DAY + 2 * HOUR,
            day=THEN.date() + DAY,
            **on_task,
            **_common(),
        ),
        models.TimeEntry(
            user_id=owner.id,
            description="timer D",
            started_at=dt.datetime.now(dt.UTC).replace(microsecond=0) - HOUR,
            **_common(),
        ),
    ]
    await world.rows(*entries)
    names["entry"] = gid(entries[0])

    for letter, who, kind, at in (
        ("A", owner, "image/png", THEN),
        ("B", helper, "text/plain", THEN + DAY),
    ):
        file = models.StoredFile(
            id=fresh_id(), uploader_id=who.id, created_at=THEN, expires_at=THEN + 100 * 365 * DAY
        )
        attachment = models.Attachment(
            id=fresh_id(),
            task_id=task.id,
            uploader_id=who.id,
            file_id=file.id,
            filename=f"a file {letter}",
            content_type=kind,
            size=len(kind),
            sha256="0" * 64,
            has_thumbnail=False,
            created_at=at,
        )
        await world.rows(file, attachment)
        names[f"file{letter}"] = gid(attachment)

    for letter, told, at, read in (
        ("A", NotificationKind.REMINDER, THEN, THEN),
        ("B", NotificationKind.WEBHOOK_DISABLED, THEN + DAY, None),
    ):
        notice = models.Notification(
            id=fresh_id(),
            recipient_id=owner.id,
            kind=told,
            actor_id=helper.id if letter == "A" else None,
            task_id=task.id if letter == "A" else None,
            message=f"notice {letter}",
            created_at=at,
            read_at=read,
            in_app=True,
            email=False,
        )
        await world.rows(notice)
        names[f"notice{letter}"] = gid(notice)

    webhook = models.Webhook(
        user_id=owner.id,
        name="example.com",
        url="https://example.com/",
        status=WebhookStatus.ACTIVE,
        secret=b"",
        **_common(),
    )
    await world.rows(webhook)
    names["webhook"] = gid(webhook)
    for letter, sent, at, test in (
        ("A", DeliveryState.DELIVERED, THEN, True),
        ("B", DeliveryState.FAILED, THEN + DAY, False),
    ):
        event_id = fresh_id()
        delivery = models.WebhookDelivery(
            id=fresh_id(),
            webhook_id=webhook.id,
            event_id=event_id,
            is_test=test,
            state=sent,
            created_at=at,
            error=f"error {letter}",
        )
        await world.rows(delivery)
        names |= {f"event{letter}": ids.encode(models.Event, event_id)}
        names |= {f"delivery{letter}": gid(delivery)}

    # What is the owner's own, each with its letter.
    for letter, at in (("A", THEN), ("B", THEN + DAY)):
        first = letter == "A"
        key = models.ApiKey(
            user_id=owner.id,
            name=f"Key {letter}",
            prefix="tlk",
            hash=fresh_id().bytes,
            scopes=["tasks:read"],
            expires_at=None if first else THEN,
            last_used_at=None if first else at,
            **_common(at),
        )
        device = models.Device(
            id=fresh_id(),
            user_id=owner.id,
            token=fresh_id().hex,
            platform="IOS" if first else "WEB",
            name=f"Phone {letter}",
            created_at=at,
            seen_at=at,
        )
        integration = models.Integration(
            user_id=owner.id,
            project_id=project.id if first else beta.id,
            connector=Connector.SLACK if first else Connector.GITHUB,
            settings={},
            credentials=b"",
            status=IntegrationStatus.ACTIVE if first else IntegrationStatus.FAILED,
            last_error=f"error {letter}",
            **_common(at),
        )
        hook = models.Webhook(
            user_id=owner.id,
            name=f"Hook {letter}",
            url=f"https://example.com/{letter}",
            status=WebhookStatus.ACTIVE if first else WebhookStatus.DISABLED,
            secret=b"",
            **_common(at),
        )
        export = models.ReportExport(
            user_id=owner.id,
            timezone="UTC",
            format=ExportFormat.CSV if first else ExportFormat.PDF,
            status=ExportState.DONE if first else ExportState.FAILED,
            failure_reason=f"error {letter}",
            finished_at=at,
            **_common(at),
        )
        reference = models.TaskExternalReference(
            task_id=task.id if first else other.id,
            scope_id=project.id,
            source="jira" if first else "github",
            external_id=f"OLD-{letter}",
            url="https://example.com/old" if first else None,
        )
        await world.rows(key, device, integration, hook, export, reference)
        names[f"export{letter}"] = gid(export)
        names |= {f"key{letter}": gid(key), f"device{letter}": gid(device)}
        names |= {f"integration{letter}": gid(integration), f"hook{letter}": gid(hook)}

    for letter, event, of, at in (
        ("A", EventKind.TASK_UPDATED, task, THEN),
        ("B", EventKind.TASK_COMPLETED, other, THEN + DAY),
    ):
        happened = models.Event(
            id=fresh_id(),
            at=at,
            kind=event.value,
            actor_id=owner.id,
            request_id=f"filtered {letter}",
            subject_type="Task",
            subject_id=of.id,
            task_id=of.id,
            project_id=project.id if letter == "A" else None,
        )
        await world.rows(happened)

    # Nobody knows these names, so none of them may be left for a worker to find.
    prefix = f"filtered.{new_key()}"
    names |= {"jobs": prefix}
    jobs = [
        models.Job(
            id=fresh_id(),
            name=f"{prefix} {letter}",
            payload={},
            state=state,
            created_at=at,
            due_at=at,
            finished_at=at,
        )
        for letter, state, at in (
            ("A", JobState.DONE, THEN),
            ("B", JobState.FAILED, THEN + DAY),
        )
    ]
    await world.rows(*jobs)
    names |= {"jobA": gid(jobs[0]), "jobNameA": jobs[0].name}
    yield Fixtures(owner, await world.house.admin(), names)
    async with world.database.session() as session, session.begin():
        await session.execute(delete(models.Job).where(models.Job.id.in_([job.id for job in jobs])))


def _cases(filter_: str, *cases: tuple[dict[str, Any], str]) -> list[tuple[str, Any, str]]:
    return [(filter_, *case) for case in cases]


# What each filter finds in its list.
CASES: list[tuple[str, dict[str, Any], str]] = [
    *_cases(
        "TimeEntryFilter",
        ({"id": {"eq": "$entry"}}, "A"),
        ({"user": {"fullName": {"contains": "hugo"}}}, "C"),
        ({"user": {"id": {"eq": "$owner"}}}, "ABD"),
        ({"project": {"name": {"startsWith": "alpha"}}}, "ABC"),
        ({"project": {"isNull": True}}, "D"),
        ({"task": {"title": {"eq": "task A"}}}, "AC"),
        ({"task": {"id": {"eq": "$task"}}}, "AC"),
        ({"task": {"isNull": True}}, "BD"),
        ({"description": {"startsWith": "CALL"}}, "B"),
        ({"startedAt": {"gt": NEXT}}, "D"),
        ({"startedAt": {"lte": "2020-01-05T09:00:00Z"}}, "A"),
        ({"endedAt": {"isNull": True}}, "D"),
        ({"endedAt": {"lt": NEXT}}, "AB"),
        ({"day": {"eq": "2020-01-06"}}, "C"),
        ({"day": {"isNull": True}}, "ABD"),
        ({"isRunning": True}, "D"),
        ({"isRunning": False}, "ABC"),
        ({"duration": {"eq": 5_400}}, "B"),
        ({"duration": {"gt": 5_400}}, "C"),
        ({"isBillable": True}, "A"),
        ({"isBillable": False}, "BCD"),
        ({"hasOverlap": True}, "AB"),
        ({"hasOverlap": False}, "CD"),
        ({"tags": {"some": {"eq": "RED"}}}, "A"),
        ({"tags": {"none": {"eq": "red"}}}, "BCD"),
        ({"createdAt": {"gt": NEXT}}, "B"),
        ({"updatedAt": {"lt": NEXT}}, "ACD"),
        ({"search": "A MEET"}, "A"),
        ({"not": {"task": {"title": {"eq": "task A"}}}}, "BD"),
    ),
    *_cases(
        "AttachmentFilter",
        ({"id": {"eq": "$fileA"}}, "A"),
        ({"filename": {"eq": "a file B"}}, "B"),
        ({"contentType": {"startsWith": "image/"}}, "A"),
        ({"byteSize": {"lt": 10}}, "A"),
        ({"uploader": {"fullName": {"contains": "hugo"}}}, "B"),
        ({"uploader": {"id": {"eq": "$owner"}}}, "A"),
        ({"createdAt": {"gt": NEXT}}, "B"),
        ({"search": "b FILE"}, "B"),
        ({"not": {"byteSize": {"lt": 10}}}, "B"),
        ({"task": {"title": {"eq": "task A"}}}, "AB"),
    ),
    *_cases(
        "NotificationFilter",
        ({"id": {"eq": "$noticeA"}}, "A"),
        ({"kind": {"eq": "REMINDER"}}, "A"),
        ({"kind": {"notEq": "REMINDER"}}, "B"),
        ({"kind": {"in": ["WEBHOOK_DISABLED", "MENTIONED"]}}, "B"),
        ({"kind": {"notIn": ["WEBHOOK_DISABLED", "MENTIONED"]}}, "A"),
        ({"kind": {"isNull": False}}, "AB"),
        ({"actor": {"fullName": {"startsWith": "hugo"}}}, "A"),
        ({"actor": {"isNull": True}}, "B"),
        ({"actor": {"not": {"isMe": True}}}, "A"),
        ({"not": {"actor": {"isMe": True}}}, "AB"),
        ({"task": {"title": {"eq": "task A"}}}, "A"),
        ({"task": {"isNull": True}}, "B"),
        ({"readAt": {"isNull": False}}, "A"),
        ({"isRead": True}, "A"),
        ({"isRead": False}, "B"),
        ({"createdAt": {"lt": NEXT}}, "A"),
    ),
    *_cases(
        "JobFilter",
        ({"id": {"eq": "$jobA"}}, "A"),
        ({"name": {"eq": "$jobNameA"}}, "A"),
        ({"status": {"eq": "DONE"}}, "A"),
        ({"status": {"notEq": "DONE"}}, "B"),
        ({"status": {"in": ["FAILED", "RUNNING"]}}, "B"),
        ({"status": {"notIn": ["FAILED", "RUNNING"]}}, "A"),
        ({"createdAt": {"gt": NEXT}}, "B"),
        ({"runAt": {"lt": NEXT}}, "A"),
    ),
    *_cases(
        "TagFilter",
        ({"name": {"eq": "FLAG a"}}, "A"),
        ({"name": {"endsWith": "B"}}, "B"),
        ({"taskCount": {"gt": 1}}, "A"),
        ({"taskCount": {"eq": 1}, "name": {"startsWith": "flag"}}, "B"),
        ({"search": "b fla"}, "B"),
        ({"not": {"taskCount": {"lte": 1}}}, "A"),
        ({"or": [{"name": {"eq": "flag b"}}, {"search": "x"}]}, "B"),
    ),
    *_cases(
        "ApiKeyFilter",
        ({"id": {"eq": "$keyA"}}, "A"),
        ({"name": {"eq": "KEY a"}}, "A"),
        ({"isActive": True}, "A"),
        ({"isActive": False}, "B"),
        ({"createdAt": {"lt": NEXT}}, "A"),
        ({"lastUsedAt": {"isNull": True}}, "A"),
        ({"expiresAt": {"isNull": False}}, "B"),
    ),
    *_cases(
        "DeviceFilter",
        ({"id": {"eq": "$deviceA"}}, "A"),
        ({"platform": {"eq": "IOS"}}, "A"),
        ({"platform": {"notIn": ["IOS", "ANDROID"]}}, "B"),
        ({"name": {"in": ["phone b"]}}, "B"),
        ({"createdAt": {"gt": NEXT}}, "B"),
        ({"lastRegisteredAt": {"lt": NEXT}}, "A"),
    ),
    *_cases(
        "IntegrationFilter",
        ({"id": {"eq": "$integrationA"}}, "A"),
        ({"connector": {"eq": "GITHUB"}}, "B"),
        ({"project": {"name": {"startsWith": "alpha"}}}, "A"),
        ({"status": {"notEq": "ACTIVE"}}, "B"),
        ({"createdAt": {"gt": NEXT}}, "B"),
        ({"updatedAt": {"lt": NEXT}}, "A"),
    ),
    *_cases(
        "WebhookFilter",
        ({"id": {"eq": "$hookA"}}, "A"),
        ({"name": {"eq": "hook B"}}, "B"),
        ({"url": {"endsWith": "/a"}}, "A"),
        ({"status": {"eq": "DISABLED"}}, "B"),
        ({"createdAt": {"gt": NEXT}, "name": {"startsWith": "hook "}}, "B"),
        ({"updatedAt": {"lt": NEXT}, "name": {"startsWith": "hook "}}, "A"),
    ),
    *_cases(
        "ReportExportFilter",
        ({"id": {"eq": "$exportA"}}, "A"),
        ({"status": {"eq": "DONE"}}, "A"),
        ({"status": {"notIn": ["QUEUED", "DONE"]}}, "B"),
        ({"format": {"notEq": "CSV"}}, "B"),
        ({"createdAt": {"gt": NEXT}}, "B"),
        ({"finishedAt": {"lt": NEXT}}, "A"),
    ),
    *_cases(
        "WebhookDeliveryFilter",
        ({"id": {"eq": "$deliveryA"}}, "A"),
        ({"event": {"id": {"eq": "$eventA"}}}, "A"),
        ({"status": {"eq": "FAILED"}}, "B"),
        ({"status": {"notEq": "FAILED"}}, "A"),
        ({"status": {"in": ["DELIVERED", "SKIPPED"]}}, "A"),
        ({"status": {"notIn": ["DELIVERED", "SKIPPED"]}}, "B"),
        ({"isTest": True}, "A"),
        ({"isTest": False}, "B"),
        ({"createdAt": {"lt": NEXT}}, "A"),
    ),
    *_cases(
        "EventFilter",
        ({"kind": {"eq": "TASK_UPDATED"}}, "A"),
        ({"kind": {"notEq": "TASK_UPDATED"}}, "B"),
        ({"kind": {"in": ["TASK_COMPLETED", "COMMENT_CREATED"]}}, "B"),
        ({"kind": {"notIn": ["TASK_COMPLETED", "COMMENT_CREATED"]}}, "A"),
        ({"at": {"lt": NEXT}}, "A"),
        ({"subjectType": ["TASK"]}, "AB"),
        ({"subjectType": []}, ""),
        ({"id": {"in": []}}, ""),
        ({"actor": {"id": {"eq": "$owner"}}}, "AB"),
        ({"actor": {"isMe": True}}, "AB"),
        ({"actor": {"id": {"eq": "$helper"}}}, ""),
        ({"task": {"id": {"eq": "$other"}}}, "B"),
        ({"project": {"id": {"eq": "$project"}}}, "A"),
        ({"project": {"isNull": True}}, "B"),
    ),
    *_cases(
        "TaskFilter",
        ({"timeEntries": {"some": {"isBillable": True}}}, "A"),
        ({"timeEntries": {"none": {"isBillable": True}}}, "B"),
        ({"timeEntries": {"every": {"day": {"isNull": False}}}}, "B"),
        ({"tracked": {"gte": 3_600}}, "A"),
        ({"tracked": {"eq": 0}}, "B"),
        ({"attachments": {"some": {"search": "file"}}}, "A"),
        ({"attachments": {"none": {"byteSize": {"lt": 10}}}}, "B"),
        ({"attachments": {"every": {"uploader": {"id": {"eq": "$owner"}}}}}, "B"),
        ({"externalReferences": {"some": {"source": {"eq": "jira"}}}}, "A"),
        ({"externalReferences": {"none": {"externalId": {"eq": "OLD-A"}}}}, "B"),
        ({"externalReferences": {"every": {"url": {"isNull": True}}}}, "B"),
    ),
]

# How many entries a report over each counts, of how many seconds.
REPORT_CASES: list[tuple[dict[str, Any], tuple[int, int]]] = [
    ({"firstDay": "2020-01-06", "lastDay": "2020-01-06"}, (1, 7_200)),
    ({"lastDay": "2020-01-05"}, (2, 3_600 + 5_400)),
    ({"lastDay": "2020-01-06", "entries": {"task": {"id": {"eq": "$task"}}}}, (2, 3_600 + 7_200)),
]
# What else of the same world would be found: events of the making, and other people's jobs.
WITHIN: dict[str, dict[str, Any]] = {
    "EventFilter": {"at": {"lt": "2021-01-01T00:00:00Z"}},
    "JobFilter": {"name": {"startsWith": "$jobs"}},
}


@pytest.mark.parametrize(("type_", "filter_", "found"), CASES, ids=short)
async def test_lists(
    world: World, fixtures: Fixtures, type_: str, filter_: dict[str, Any], found: str
) -> None:
    within = WITHIN.get(type_)
    whole = {"and": [within, filter_]} if within else filter_
    variables: dict[str, Any] = {"filter": named(whole, fixtures.names)}
    variables |= {
        name: fixtures.names[name]
        for name in ("task", "webhook")
        if re.search(rf"\${name}\b", LISTS[type_])
    }
    person = fixtures.admin if type_ == "JobFilter" else fixtures.owner
    page = (await world.run(LISTS[type_], person, **variables)).good
    while "nodes" not in page:
        (page,) = page.values()
    letters = sorted(node["label"][-1] for node in page["nodes"])
    assert "".join(letters) == found
    assert page["totalCount"] == len(found)


@pytest.mark.parametrize(("filter_", "found"), REPORT_CASES, ids=short)
async def test_reports(
    world: World, fixtures: Fixtures, filter_: dict[str, Any], found: tuple[int, int]
) -> None:
    reply = await world.run(REPORT, fixtures.owner, filter=named(filter_, fixtures.names))
    report = reply.good["timeReport"]
    assert (report["count"], report["total"]) == found
