"""Inputs that set every field of every mutation that makes or changes something."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from db import models
from db.base import Base
from tests.accounts import PASSWORD, Person
from tests.factories import World, fresh_id, gid, new_key


@dataclass(frozen=True, slots=True)
class Case:
    """Inputs of one mutation that together set each of its fields.

    `path`: the names that lead to the payload's object. `start`: the case that makes what is
    changed. `only`: the fields to look for, if not all.
    """

    mutation: str
    path: str
    model: type[Base]
    inputs: Callable[[Stage], list[dict[str, Any]]]
    start: Callable[[Stage], dict[str, Any]] | None = None
    only: tuple[str, ...] = ()
    but: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether something is changed that was there before."""
        return self.start is not None or self.mutation in _CHANGES_OF_PEOPLE

    @property
    def items(self) -> bool:
        """Whether it is a bulk, whose items are looked at."""
        return self.path.startswith("results.")


@dataclass(slots=True)
class Stage:
    """Who acts, and what there is."""

    world: World
    ada: Person
    bob: Person
    project: str
    task: str
    above: str
    made: dict[str, str] = field(default_factory=dict)


_CHANGES_OF_PEOPLE = {
    "accountUpdate",
    "adminUserUpdate",
    "sessionUpdate",
    "notificationPreferencesUpdate",
}
NOON = dt.datetime.now(dt.UTC).replace(hour=12, minute=0, second=0, microsecond=0)


def _moment(days: int) -> str:
    return (NOON + dt.timedelta(days=days)).isoformat().replace("+00:00", "Z")


def _day(days: int) -> str:
    return (NOON + dt.timedelta(days=days)).date().isoformat()


def _new(prefix: str) -> str:
    return f"{prefix}_{fresh_id().hex}"


def _task_words() -> dict[str, Any]:
    return {
        "title": "Paint the fence",
        "description": "In *green*.",
        "notes": "Two coats",
        "status": "IN_PROGRESS",
        "priority": "HIGH",
        "due": {"at": _moment(3)},
        "startAt": _moment(1),
        "estimate": 90,
        "tags": ["garden", "outside"],
        "externalReferences": [
            {"source": "jira", "externalId": fresh_id().hex, "url": "https://jira.example.com/1"}
        ],
    }


def _new_tasks(stage: Stage) -> list[dict[str, Any]]:
    return [
        {
            **_task_words(),
            "id": _new("task"),
            "projectId": stage.project,
            "assigneeId": gid(stage.bob),
        },
        {"title": "Buy paint", "parentId": stage.task, "due": {"on": _day(2)}},
    ]


def _changed_tasks(stage: Stage) -> list[dict[str, Any]]:
    return [{**_task_words(), "assigneeId": gid(stage.bob)}, {"due": {"on": _day(2)}}]


def _new_entries(stage: Stage) -> list[dict[str, Any]]:
    return [
        {
            "id": _new("time_entry"),
            "projectId": stage.project,
            "taskId": stage.task,
            "description": "Scraping",
            "isBillable": True,
            "tags": ["garden"],
            "time": {"start": {"startedAt": _moment(-9), "duration": 600}},
        },
        {"time": {"range": {"startedAt": _moment(-7), "endedAt": _moment(-6)}}},
        {"time": {"day": {"day": _day(-5), "duration": 1800}}},
    ]


def _profile() -> dict[str, Any]:
    return {
        "username": f"ada-{fresh_id().hex[-12:]}",
        "fullName": "Ada of Zurich",
        "timezone": "Europe/Zurich",
        "weekStart": "SUNDAY",
        "locale": "de-CH",
    }


_RULE = {"once": {"at": _moment(5)}}
_CLOCK = {"time": "07:30", "timezone": "Asia/Kolkata"}
_RULES: list[dict[str, Any]] = [
    {"due": {"offset": -1800}},
    {"start": {"offset": 600}},
    {"daily": _CLOCK},
    {"weekly": {"days": ["TUESDAY", "SUNDAY"], **_CLOCK}},
    {"monthly": {"day": 31, **_CLOCK}},
]
_SLACK = {"events": ["PROJECT_UPDATED", "COMMENT_DELETED"]}
_HOOK = "https://hooks.example.com/services/T1"
# No kind comes by these alone, unless somebody chooses so.
_CHANNELS = {"inApp": False, "email": True, "push": False}
KINDS = [
    "taskSharedWithMe",
    "taskAssignedToMe",
    "taskCompleted",
    "commentOnMyTask",
    "mentioned",
    "taskDueSoon",
    "reminder",
    "webhookDisabled",
    "integrationFailed",
]


def _webhook() -> dict[str, Any]:
    return {
        "url": "https://new.example.com/hook",
        "name": "Assigned to me",
        "filter": {"kind": {"in": ["TASK_CREATED"]}},
        "payload": "{ kind at }",
    }


def _github(stage: Stage) -> dict[str, Any]:
    return {
        "repository": "octocat/garden",
        "baseUrl": "https://github.example.com/api/v3",
        "assignees": [{"login": "octobob", "userId": gid(stage.bob)}],
        "hasComments": False,
    }


_AN_HOUR = {"time": {"start": {"startedAt": _moment(-9), "duration": 3600}}}


def _changed_entries(stage: Stage) -> list[dict[str, Any]]:
    return [
        {
            "description": "Sanding",
            "isBillable": True,
            "tags": ["x"],
            "projectId": stage.project,
        },
        {"taskId": stage.task},
        {"time": {"range": {"startedAt": _moment(-3), "endedAt": _moment(-2)}}},
        {"time": {"start": {"startedAt": _moment(-3), "duration": 120}}},
        {"time": {"startedAt": (NOON - dt.timedelta(days=9, hours=2)).isoformat()}},
        {"time": {"endedAt": (NOON - dt.timedelta(days=9, hours=-2)).isoformat()}},
        {"time": {"day": {"day": _day(-4), "duration": 60}}},
    ]


CASES = [
    Case("taskCreate", "task", models.Task, _new_tasks),
    Case("taskBulkCreate", "results.task", models.Task, _new_tasks),
    Case(
        "taskUpdate",
        "task",
        models.Task,
        lambda stage: [*_changed_tasks(stage), {"parentId": stage.above}],
        lambda stage: {"taskCreate": {"title": "old", "projectId": stage.project}},
    ),
    Case(
        "taskBulkUpdate",
        "results.task",
        models.Task,
        _changed_tasks,
        lambda stage: {"taskCreate": {"title": "old", "projectId": stage.project}},
    ),
    Case(
        "taskAssign",
        "task",
        models.Task,
        lambda stage: [{"assigneeId": gid(stage.bob)}],
        lambda stage: {"taskCreate": {"title": "old", "projectId": stage.project}},
    ),
    Case(
        "taskTagsAdd",
        "task",
        models.Task,
        lambda _: [{"tags": ["new"]}],
        lambda _: {"taskCreate": {"title": "old"}},
    ),
    Case("timeEntryCreate", "timeEntry", models.TimeEntry, _new_entries),
    Case("timeEntryBulkCreate", "results.timeEntry", models.TimeEntry, _new_entries),
    Case(
        "timeEntryUpdate",
        "timeEntry",
        models.TimeEntry,
        _changed_entries,
        lambda _: {"timeEntryCreate": _AN_HOUR},
    ),
    Case(
        "timeEntryBulkUpdate",
        "results.timeEntry",
        models.TimeEntry,
        _changed_entries,
        lambda _: {"timeEntryCreate": _AN_HOUR},
    ),
    Case(
        "timerStart",
        "timeEntry",
        models.TimeEntry,
        lambda stage: [
            {
                "id": _new("time_entry"),
                "projectId": stage.project,
                "taskId": stage.task,
                "description": "Painting",
                "isBillable": True,
                "tags": ["garden"],
            }
        ],
    ),
    Case(
        "projectCreate",
        "project",
        models.Project,
        lambda _: [
            {
                "id": _new("project"),
                "name": "Garden",
                "description": "All year",
                "key": new_key(),
                "color": "#00aa55",
            }
        ],
    ),
    Case(
        "projectUpdate",
        "project",
        models.Project,
        lambda _: [
            {
                "name": "Garden",
                "description": "All year",
                "key": new_key(),
                "color": "#00aa55",
                "timeLockedBefore": _day(-100),
                "isOverlapAllowed": False,
            }
        ],
        lambda _: {"projectCreate": {"name": "old"}},
    ),
    Case(
        "projectMemberAdd",
        "projectMember",
        models.ProjectMember,
        lambda stage: [
            {"projectId": stage.made["p1"], "userId": gid(stage.bob), "role": "ADMIN"},
            {"projectId": stage.made["p2"], "userId": gid(stage.bob), "role": "VIEWER"},
        ],
    ),
    Case(
        "projectMemberUpdate",
        "projectMember",
        models.ProjectMember,
        lambda _: [{"role": "ADMIN"}],
        lambda stage: {
            "projectMemberAdd": {
                "projectId": stage.made["p1"],
                "userId": gid(stage.bob),
                "role": "VIEWER",
            }
        },
    ),
    Case(
        "taskShareCreate",
        "taskShare",
        models.TaskShare,
        lambda stage: [
            {
                "taskId": stage.made["t1"],
                "userId": gid(stage.bob),
                "permission": "EDIT",
                "expiresAt": _moment(9),
            },
        ],
    ),
    Case(
        "taskShareUpdate",
        "taskShare",
        models.TaskShare,
        lambda _: [{"permission": "EDIT", "expiresAt": _moment(9)}],
        lambda stage: {"taskShareCreate": {"taskId": stage.made["t1"], "userId": gid(stage.bob)}},
    ),
    Case(
        "commentCreate",
        "comment",
        models.Comment,
        lambda stage: [
            {
                "id": _new("comment"),
                "taskId": stage.task,
                "body": "Done?",
                "parentId": stage.made["c1"],
            }
        ],
    ),
    Case(
        "commentUpdate",
        "comment",
        models.Comment,
        lambda _: [{"body": "Not yet."}],
        lambda stage: {"commentCreate": {"taskId": stage.task, "body": "Done?"}},
    ),
    Case(
        "userRegister",
        "viewer",
        models.User,
        lambda _: [
            {
                "username": f"eve-{fresh_id().hex[-12:]}",
                "email": f"{fresh_id().hex}@example.com",
                "password": "a long and rare passphrase",
                "fullName": "Eve",
                "timezone": "Europe/Zurich",
                "deviceName": "Kitchen",
            }
        ],
        but=("deviceName",),
    ),
    Case(
        "userRegister",
        "session",
        models.Session,
        lambda _: [
            {
                "username": f"eve-{fresh_id().hex[-12:]}",
                "email": f"{fresh_id().hex}@example.com",
                "password": "a long and rare passphrase",
                "deviceName": "Kitchen",
            }
        ],
        only=("deviceName",),
    ),
    Case(
        "sessionCreate",
        "session",
        models.Session,
        lambda stage: [
            {
                "login": stage.bob.username,
                "password": PASSWORD,
                "deviceName": "Kitchen",
            }
        ],
    ),
    Case(
        "sessionUpdate",
        "session",
        models.Session,
        lambda stage: [{"id": stage.made["session"], "deviceName": "Attic"}],
    ),
    Case("accountUpdate", "viewer", models.User, lambda _: [_profile()]),
    Case(
        "adminUserUpdate",
        "adminUser",
        models.User,
        lambda stage: [
            {
                **_profile(),
                "id": gid(stage.bob),
                "email": f"{fresh_id().hex}@example.com",
                "isAdmin": True,
            }
        ],
    ),
    Case(
        "reportExportCreate",
        "reportExport",
        models.ReportExport,
        lambda _: [
            {
                "format": "CSV",
                "filter": {"firstDay": "2026-01-01", "entries": {"isBillable": True}},
                "groupBy": ["PROJECT", "BILLABLE"],
                "timezone": "Asia/Tokyo",
                "weekStart": "SUNDAY",
                "includeBom": True,
            }
        ],
    ),
    Case(
        "apiKeyCreate",
        "apiKey",
        models.ApiKey,
        lambda stage: [
            {
                "name": "Script",
                "scopes": ["TASKS_READ"],
                "projectIds": [stage.project],
                "expiresAt": _moment(20),
            }
        ],
    ),
    Case(
        "deviceCreate",
        "device",
        models.Device,
        lambda _: [{"target": {"token": fresh_id().hex * 2}, "platform": "IOS", "name": "Phone"}],
    ),
    Case(
        "reminderCreate",
        "reminder",
        models.Reminder,
        lambda stage: [
            {
                "id": _new("reminder"),
                "rule": _RULE,
                "taskId": stage.task,
                "message": "Look at the fence",
                "channels": ["EMAIL"],
                "isEnabled": False,
            },
            {"rule": _RULE, "projectId": stage.project},
            *({"rule": rule, "taskId": stage.task} for rule in _RULES),
        ],
    ),
    Case(
        "reminderUpdate",
        "reminder",
        models.Reminder,
        lambda _: [
            {
                "rule": _RULE,
                "message": "Look at the fence",
                "channels": ["EMAIL"],
                "isEnabled": False,
            },
            *({"rule": rule} for rule in _RULES),
        ],
        lambda stage: {
            "reminderCreate": {"rule": {"once": {"at": _moment(1)}}, "taskId": stage.task}
        },
    ),
    Case("webhookCreate", "webhook", models.Webhook, lambda _: [_webhook()]),
    Case(
        "webhookUpdate",
        "webhook",
        models.Webhook,
        lambda _: [{**_webhook(), "status": "DISABLED"}],
        lambda _: {"webhookCreate": {"url": "https://old.example.com/hook"}},
    ),
    Case(
        "integrationCreate",
        "integration",
        models.Integration,
        lambda stage: [
            {
                "projectId": stage.project,
                "config": {"github": {**_github(stage), "token": "token"}},
            },
            {"projectId": stage.project, "config": {"slack": {**_SLACK, "webhookUrl": _HOOK}}},
        ],
    ),
    Case(
        "integrationUpdate",
        "integration",
        models.Integration,
        lambda stage: [{"config": {"github": _github(stage)}}],
        lambda stage: {
            "integrationCreate": {
                "projectId": stage.project,
                "config": {
                    "github": {
                        "repository": "octocat/garden",
                        "baseUrl": "https://github.example.com/api/v3",
                        "token": "token",
                    }
                },
            }
        },
    ),
    Case(
        "integrationUpdate",
        "integration",
        models.Integration,
        lambda _: [{"config": {"slack": _SLACK}, "isPaused": True}],
        lambda stage: {
            "integrationCreate": {
                "projectId": stage.project,
                "config": {"slack": {"webhookUrl": _HOOK}},
            }
        },
    ),
    Case(
        "notificationPreferencesUpdate",
        "notificationPreferences",
        models.NotificationPreferences,
        lambda _: [{"isEmailEnabled": False, **dict.fromkeys(KINDS, _CHANNELS)}],
    ),
]
