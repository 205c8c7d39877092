"""The access matrix: who may use every root field that takes an id, a filter or a search.

To add a noun:
1. Add one object to the fixtures (`fixtures.py`, `Fixtures.ids`), and a new kind of access to it to
   `AccessRole`.
2. Add a `Case` for each of its root fields below: the operation, its variables (from the fixtures),
   `about`, the name in the fixtures of the object that may be hidden, and `ok` and `forbidden`: the
   roles that succeed, and those that can see the object but may not do this. All other signed-in
   users get `hidden`: NOT_FOUND for objects, EMPTY for lists. Clients that are signed out or
   deactivated get UNAUTHENTICATED.
3. `test_matrix.py` runs each case with each role. For a hidden object, it compares the answer with
   the one for an object that does not exist: the bytes must be the same.

A field that can be addressed in several ways has several cases (`Query.task` and `Query.task by
key`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.access.fixtures import AccessRole, Fixtures

Variables = Callable[[Fixtures], dict[str, Any]]

SIGNED_IN = frozenset(AccessRole) - {AccessRole.SIGNED_OUT, AccessRole.DEACTIVATED}
MEMBERS = frozenset({AccessRole.OWNER, AccessRole.ADMIN, AccessRole.EDITOR, AccessRole.VIEWER})
EDITORS = MEMBERS - {AccessRole.VIEWER}
ADMINS = frozenset({AccessRole.OWNER, AccessRole.ADMIN})
OWNER = frozenset({AccessRole.OWNER})
# The rows of the table in docs/access.md.
TASK_SEEN = MEMBERS | {AccessRole.ASSIGNEE, AccessRole.SHARED_EDIT, AccessRole.SHARED_VIEW}
TASK_EDITED = EDITORS | {AccessRole.ASSIGNEE, AccessRole.SHARED_EDIT}
TASK_MANAGED = ADMINS
TIME_SEEN = ADMINS | {AccessRole.EDITOR}
# `Fixtures.share` belongs to SHARED_VIEW.
SHARE_SEEN = TASK_MANAGED | {AccessRole.SHARED_VIEW}
NOBODY: frozenset[AccessRole] = frozenset()


@dataclass(frozen=True, slots=True)
class Case:
    """One root field, addressed in one way."""

    name: str
    document: str
    variables: Variables
    about: str | None
    ok: frozenset[AccessRole]
    forbidden: frozenset[AccessRole] = NOBODY
    hidden: str = "NOT_FOUND"
    # Files of a multipart request: name and bytes by path in the variables.
    files: Mapping[str, tuple[str, bytes]] | None = None
    # Other answers, by code.
    instead: Mapping[str, frozenset[AccessRole]] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """The root field: `Query.task`."""
        return self.name.split(" ")[0]

    def expected(self, role: AccessRole) -> str:
        """OK, EMPTY or an error's code."""
        for code, parts in self.instead.items():
            if role in parts:
                return code
        if role in self.ok:
            return "OK"
        if role not in SIGNED_IN:
            return "UNAUTHENTICATED"
        return "FORBIDDEN" if role in self.forbidden else self.hidden


def by_id(name: str) -> Callable[[Fixtures], dict[str, Any]]:
    """`{"id": …}` of an object in the fixtures."""
    return lambda fixtures: {"id": fixtures.ids[name]}


def one(name: str, *, selection: str = "id") -> str:
    """A query for one object by its id."""
    return f"query ($id: ID!) {{ {name}(id: $id) {{ {selection} }} }}"


def listed(name: str, filter_type: str) -> str:
    """A query for a list with a filter."""
    return (
        f"query ($filter: {filter_type}) "
        f"{{ {name}(filter: $filter) {{ nodes {{ id }} totalCount }} }}"
    )


def mine(name: str, filter_type: str) -> str:
    """A query for a list of the viewer's with a filter."""
    return listed(name, filter_type).replace("{", "{ viewer {", 1) + " }"


def filtered(name: str) -> Variables:
    """A filter for an object in the fixtures."""
    return lambda fixtures: {"filter": {"id": {"eq": fixtures.ids[name]}}}


def does(mutation: str, result: str = "task { id }") -> str:
    """A mutation with its input in one variable."""
    type_ = mutation[0].upper() + mutation[1:] + "Input"
    return (
        f"mutation ($input: {type_}!) "
        f"{{ {mutation}(input: $input) {{ {result} "
        "errors { code path message conflictingFields } } }"
    )


def mutates(
    mutation: str,
    about: str,
    ok: frozenset[AccessRole],
    forbidden: frozenset[AccessRole],
    *,
    result: str = "task { id }",
    suffix: str = "",
    path: str = "id",
    hidden: str = "NOT_FOUND",
    more: Variables = lambda _: {},
) -> Case:
    """A mutation of the object `about`, whose id is at `path` in the input."""
    return Case(
        f"Mutation.{mutation}{suffix}",
        does(mutation, result),
        lambda fixtures: {"input": {path: fixtures.ids[about], **more(fixtures)}},
        about,
        ok,
        forbidden - ok,
        hidden,
    )


def in_bulk(
    mutation: str,
    about: str,
    ok: frozenset[AccessRole],
    forbidden: frozenset[AccessRole],
    item: Variables,
    *,
    suffix: str = "",
) -> Case:
    """A bulk mutation of one item."""
    return Case(
        f"Mutation.{mutation}{suffix}",
        does(mutation, "doneCount"),
        lambda fixtures: {"input": {"items": [item(fixtures)]}},
        about,
        ok,
        forbidden - ok,
    )


SHARE = "taskShare { id }"
COMMENT = "comment { id }"
ATTACHMENT = "attachment { id }"
ENTRY = "timeEntry { id }"
PROJECT = "project { id }"
MEMBER = "projectMember { id }"
USER = "adminUser { id }"
NOT_ADMINISTRATORS = SIGNED_IN - {AccessRole.ADMINISTRATOR}
ADMINISTRATOR = frozenset({AccessRole.ADMINISTRATOR})

NODES = "query ($id: ID!) { nodes(ids: [$id]) { id __typename } }"

CASES: list[Case] = [
    # --- tasks
    Case("Query.task", one("task"), by_id("task"), "task", TASK_SEEN),
    Case("Query.task below", one("task"), by_id("subtask"), "subtask", TASK_SEEN),
    Case("Query.task in the trash", one("task"), by_id("trashed_task"), "trashed_task", NOBODY),
    Case(
        "Query.task by key",
        "query ($key: ID!) { task(id: $key) { id } }",
        lambda fixtures: {"key": fixtures.task_key},
        "task_key",
        # Others do not know the key of the project.
        MEMBERS,
    ),
    Case("Query.node task", one("node"), by_id("task"), "task", TASK_SEEN),
    Case("Query.nodes task", NODES, by_id("task"), "task", TASK_SEEN, hidden="EMPTY"),
    Case(
        "Query.tasks",
        listed("tasks", "TaskFilter"),
        lambda fixtures: {"filter": {"id": {"eq": fixtures.task}}},
        "task",
        TASK_SEEN,
        hidden="EMPTY",
    ),
    Case(
        "Query.tasks by search",
        listed("tasks", "TaskFilter"),
        lambda fixtures: {"filter": {"search": fixtures.word}},
        "word",
        TASK_SEEN,
        hidden="EMPTY",
    ),
    Case(
        "Query.tasks by the project's name",
        listed("tasks", "TaskFilter"),
        lambda fixtures: {"filter": {"project": {"name": {"contains": fixtures.word}}}},
        "word",
        # A user who sees the task but not its project cannot find one through the other.
        MEMBERS,
        hidden="EMPTY",
    ),
    mutates(
        "taskCreate", "project", EDITORS, MEMBERS, path="projectId", more=lambda _: {"title": "x"}
    ),
    mutates(
        "taskCreate",
        "task",
        TASK_EDITED,
        TASK_SEEN,
        suffix=" below",
        path="parentId",
        more=lambda _: {"title": "x"},
    ),
    mutates("taskUpdate", "task", TASK_EDITED, TASK_SEEN, more=lambda _: {"title": "x"}),
    mutates(
        "taskUpdate",
        "target",
        ADMINS,
        # Assigning a user who cannot see the task shares it.
        TASK_SEEN,
        suffix=" to assign an outsider",
        path="assigneeId",
        more=lambda fixtures: {"id": fixtures.task},
    ),
    mutates("taskComplete", "task", TASK_EDITED, TASK_SEEN),
    mutates("taskReopen", "done_task", TASK_EDITED, TASK_SEEN),
    mutates("taskDelete", "task", TASK_MANAGED, TASK_SEEN, result="deletedIds"),
    mutates("taskRestore", "trashed_task", TASK_MANAGED, NOBODY),
    mutates("taskAssign", "task", TASK_EDITED, TASK_SEEN, more=lambda s: {"assigneeId": s.editor}),
    mutates(
        "taskMove",
        "task",
        TASK_EDITED,
        TASK_SEEN,
        more=lambda s: {"place": {"after": s.done_task}},
    ),
    replace(
        mutates(
            "taskMove",
            "archived",
            NOBODY,
            TASK_SEEN - TASK_EDITED,
            suffix=" into an archived project",
            path="projectId",
            more=lambda s: {"id": s.task},
        ),
        instead={"PROJECT_ARCHIVED": EDITORS},
    ),
    replace(
        mutates(
            "taskUpdate",
            "archived_task",
            NOBODY,
            MEMBERS - EDITORS,
            suffix=" archived",
            more=lambda _: {"title": "x"},
        ),
        instead={"PROJECT_ARCHIVED": EDITORS | {AccessRole.ASSIGNEE}},
    ),
    # --- shares
    Case("Query.node share", one("node"), by_id("share"), "share", SHARE_SEEN),
    Case(
        "Viewer.receivedShares",
        mine("receivedShares", "TaskShareFilter"),
        lambda fixtures: {"filter": {"id": {"eq": fixtures.share}}},
        "share",
        frozenset({AccessRole.SHARED_VIEW}),
        hidden="EMPTY",
    ),
    mutates(
        "taskShareCreate",
        "task",
        TASK_MANAGED,
        TASK_SEEN,
        result=SHARE,
        path="taskId",
        more=lambda s: {"userId": f"@{s.target_name}"},
    ),
    mutates(
        "taskShareUpdate",
        "share",
        TASK_MANAGED,
        SHARE_SEEN,
        result=SHARE,
        more=lambda _: {"permission": "EDIT"},
    ),
    mutates("taskShareDelete", "share", SHARE_SEEN, SHARE_SEEN, result="deletedId"),
    # --- comments
    Case("Query.comment", one("comment"), by_id("comment"), "comment", TASK_SEEN),
    Case("Query.node comment", one("node"), by_id("comment"), "comment", TASK_SEEN),
    Case("Query.node revision", one("node"), by_id("revision"), "revision", TASK_SEEN),
    mutates(
        "commentCreate",
        "task",
        TASK_SEEN,
        NOBODY,
        result=COMMENT,
        path="taskId",
        more=lambda _: {"body": "x"},
    ),
    mutates(
        "commentCreate",
        "comment",
        TASK_SEEN,
        NOBODY,
        result=COMMENT,
        suffix=" in answer",
        path="parentId",
        more=lambda s: {"body": "x", "taskId": s.task},
    ),
    replace(
        mutates(
            "commentCreate",
            "archived_task",
            NOBODY,
            NOBODY,
            result=COMMENT,
            suffix=" archived",
            path="taskId",
            more=lambda _: {"body": "x"},
        ),
        instead={"PROJECT_ARCHIVED": MEMBERS | {AccessRole.ASSIGNEE}},
    ),
    # The editor wrote it.
    mutates(
        "commentUpdate",
        "comment",
        frozenset({AccessRole.EDITOR}),
        TASK_SEEN,
        result=COMMENT,
        more=lambda _: {"body": "x"},
    ),
    mutates("commentDelete", "comment", OWNER | {AccessRole.EDITOR}, TASK_SEEN, result="deletedId"),
    # --- attachments
    Case("Query.attachment", one("attachment"), by_id("attachment"), "attachment", TASK_SEEN),
    Case("Query.node attachment", one("node"), by_id("attachment"), "attachment", TASK_SEEN),
    replace(
        mutates(
            "attachmentUpload",
            "task",
            TASK_EDITED,
            TASK_SEEN,
            result=ATTACHMENT,
            path="taskId",
            more=lambda _: {"file": None},
        ),
        files={"variables.input.file": ("a.txt", b"words")},
    ),
    mutates(
        "attachmentUploadStart",
        "task",
        TASK_EDITED,
        TASK_SEEN,
        result="upload { id }",
        path="taskId",
        more=lambda _: {"filename": "a.txt", "byteSize": 5},
    ),
    # The owner has uploaded it.
    mutates("attachmentUploadFinish", "upload", OWNER, NOBODY, result=ATTACHMENT, path="uploadId"),
    mutates("attachmentDelete", "attachment", TASK_EDITED, TASK_SEEN, result="deletedId"),
    # --- tags
    Case(
        "Query.tags",
        "query ($filter: TagFilter) { tags(filter: $filter) { nodes { name } totalCount } }",
        lambda fixtures: {"filter": {"search": fixtures.word}},
        "word",
        TASK_SEEN,
        hidden="EMPTY",
    ),
    mutates("taskTagsAdd", "task", TASK_EDITED, TASK_SEEN, more=lambda _: {"tags": ["x"]}),
    mutates("taskTagsRemove", "task", TASK_EDITED, TASK_SEEN, more=lambda s: {"tags": [s.word]}),
    # --- time: the editor's
    Case("Query.timeEntry", one("timeEntry"), by_id("entry"), "entry", TIME_SEEN),
    Case("Query.node time entry", one("node"), by_id("entry"), "entry", TIME_SEEN),
    Case(
        "Query.timeEntries",
        listed("timeEntries", "TimeEntryFilter"),
        lambda fixtures: {"filter": {"id": {"eq": fixtures.entry}}},
        "entry",
        TIME_SEEN,
        hidden="EMPTY",
    ),
    Case(
        "Query.timeEntries by search",
        listed("timeEntries", "TimeEntryFilter"),
        lambda fixtures: {"filter": {"search": fixtures.word}},
        "word",
        TIME_SEEN,
        hidden="EMPTY",
    ),
    Case(
        "Query.tasks by time",
        listed("tasks", "TaskFilter"),
        lambda s: {"filter": {"timeEntries": {"some": {"description": {"contains": s.word}}}}},
        "word",
        TIME_SEEN,
        hidden="EMPTY",
    ),
    *(
        mutates(name, about, ok, NOBODY, result=ENTRY, suffix=suffix, path=path, more=more)
        for name, more in (
            ("timeEntryCreate", lambda _: {"time": {"day": {"day": "2026-01-05", "duration": 60}}}),
            ("timerStart", lambda _: {}),
        )
        for about, ok, suffix, path in (
            ("project", MEMBERS, "", "projectId"),
            ("task", TASK_SEEN, " on a task", "taskId"),
        )
    ),
    Case(
        "Query.timeReport",
        "query ($filter: TimeReportFilter) { timeReport(filter: $filter) { total: total } }",
        lambda s: {"filter": {"entries": {"id": {"eq": s.entry}}}},
        "entry",
        TIME_SEEN,
        hidden="EMPTY",
    ),
    # An export contains what its owner may see, so every user may request one.
    mutates(
        "reportExportCreate",
        "entry",
        SIGNED_IN,
        NOBODY,
        result="reportExport { id }",
        path="format",
        more=lambda s: {"format": "CSV", "filter": {"entries": {"id": {"eq": s.entry}}}},
    ),
    Case("Query.reportExport", one("reportExport"), by_id("export"), "export", OWNER),
    Case("Query.node export", one("node"), by_id("export"), "export", OWNER),
    Case(
        "Viewer.reportExports",
        mine("reportExports", "ReportExportFilter"),
        lambda fixtures: {"filter": {"id": {"eq": fixtures.export}}},
        "export",
        OWNER,
        hidden="EMPTY",
    ),
    mutates("reportExportCancel", "export", OWNER, NOBODY, result="reportExport { id }"),
    Case(
        "Subscription.reportExportChanged",
        "subscription ($id: ID!) { reportExportChanged(id: $id) { at } }",
        by_id("export"),
        "export",
        OWNER,
    ),
    in_bulk(
        "timeEntryBulkCreate",
        "task",
        TASK_SEEN,
        NOBODY,
        lambda s: {"taskId": s.task, "time": {"day": {"day": "2026-01-05", "duration": 60}}},
    ),
    mutates(
        "timeEntryUpdate",
        "entry",
        frozenset({AccessRole.EDITOR}),
        ADMINS,
        result=ENTRY,
        more=lambda _: {"description": "x"},
    ),
    mutates("timeEntryDelete", "entry", frozenset({AccessRole.EDITOR}), ADMINS, result="deletedId"),
    in_bulk(
        "timeEntryBulkUpdate",
        "entry",
        frozenset({AccessRole.EDITOR}),
        ADMINS,
        lambda s: {"id": s.entry, "description": "x"},
    ),
    in_bulk(
        "timeEntryBulkDelete",
        "entry",
        frozenset({AccessRole.EDITOR}),
        ADMINS,
        lambda s: {"id": s.entry},
    ),
    # --- many tasks at once
    in_bulk(
        "taskBulkCreate",
        "project",
        EDITORS,
        MEMBERS,
        lambda s: {"projectId": s.project, "title": "x"},
    ),
    in_bulk(
        "taskBulkUpdate", "task", TASK_EDITED, TASK_SEEN, lambda s: {"id": s.task, "title": "x"}
    ),
    in_bulk(
        "taskBulkUpdate",
        "target",
        ADMINS,
        TASK_SEEN,
        lambda s: {"id": s.task, "assigneeId": s.target},
        suffix=" to assign an outsider",
    ),
    in_bulk("taskBulkDelete", "task", TASK_MANAGED, TASK_SEEN, lambda s: {"id": s.task}),
    # --- projects and members
    Case("Query.project", one("project"), by_id("project"), "project", MEMBERS),
    Case("Query.project archived", one("project"), by_id("archived"), "archived", MEMBERS),
    Case(
        "Query.project in the trash",
        one("project"),
        by_id("trashed_project"),
        "trashed_project",
        NOBODY,
    ),
    Case(
        "Query.project by key",
        "query ($key: ID!) { project(id: $key) { id } }",
        lambda fixtures: {"key": fixtures.project_key},
        "project_key",
        MEMBERS,
    ),
    Case("Query.node project", one("node"), by_id("project"), "project", MEMBERS),
    Case("Query.node member", one("node"), by_id("member"), "member", MEMBERS),
    Case(
        "Query.projects",
        listed("projects", "ProjectFilter"),
        lambda fixtures: {"filter": {"id": {"eq": fixtures.project}}},
        "project",
        MEMBERS,
        hidden="EMPTY",
    ),
    Case(
        "Query.projects by search",
        listed("projects", "ProjectFilter"),
        lambda fixtures: {"filter": {"search": fixtures.word}},
        "word",
        MEMBERS,
        hidden="EMPTY",
    ),
    mutates(
        "projectUpdate", "project", ADMINS, MEMBERS, result=PROJECT, more=lambda _: {"name": "x"}
    ),
    mutates("projectArchive", "project", ADMINS, MEMBERS, result=PROJECT),
    mutates("projectUnarchive", "archived", ADMINS, MEMBERS, result=PROJECT),
    mutates("projectDelete", "project", OWNER, MEMBERS, result="deletedId"),
    mutates("projectRestore", "trashed_project", OWNER, NOBODY, result=PROJECT),
    mutates(
        "projectTransfer",
        "project",
        OWNER,
        MEMBERS,
        result=PROJECT,
        more=lambda s: {"userId": s.editor},
    ),
    mutates(
        "projectMemberAdd",
        "project",
        ADMINS,
        MEMBERS,
        result=MEMBER,
        path="projectId",
        more=lambda s: {"userId": s.target, "role": "VIEWER"},
    ),
    mutates(
        "projectMemberAdd",
        "project",
        ADMINS,
        MEMBERS,
        result=MEMBER,
        suffix=" by username",
        path="projectId",
        more=lambda s: {"userId": f"@{s.target_name}", "role": "VIEWER"},
    ),
    mutates(
        "projectMemberUpdate",
        "member",
        ADMINS,
        MEMBERS,
        result=MEMBER,
        more=lambda _: {"role": "EDITOR"},
    ),
    # All members may remove themselves: here, the viewer.
    mutates("projectMemberRemove", "member", ADMINS | {AccessRole.VIEWER}, MEMBERS, result=PROJECT),
    Case(
        "Subscription.projectPresence",
        "subscription ($id: ID!) { projectPresence(projectId: $id) { people { since } } }",
        by_id("project"),
        "project",
        MEMBERS,
    ),
    Case(
        "Subscription.projectPresence by key",
        "subscription ($key: ID!) { projectPresence(projectId: $key) { people { since } } }",
        lambda fixtures: {"key": fixtures.project_key},
        "project_key",
        MEMBERS,
    ),
    mutates("presenceSet", "project", MEMBERS, NOBODY, result="expiresAt", path="projectId"),
    mutates(
        "presenceSet",
        "project",
        MEMBERS,
        NOBODY,
        result="expiresAt",
        suffix=" at a task",
        path="projectId",
        more=lambda s: {"taskId": s.task},
    ),
    mutates("presenceClear", "project", MEMBERS, NOBODY, result="replayed", path="projectId"),
    # --- users
    Case("Query.user", one("user"), by_id("target"), "target", SIGNED_IN),
    Case(
        "Query.user by name",
        "query ($name: ID!) { user(id: $name) { id } }",
        lambda fixtures: {"name": f"@{fixtures.target_name}"},
        "target_name",
        SIGNED_IN,
    ),
    Case("Query.node user", one("node"), by_id("target"), "target", SIGNED_IN),
    Case(
        "Query.users",
        "query ($text: String!) { users(filter: {search: $text}) { nodes { id } totalCount } }",
        lambda fixtures: {"text": fixtures.target_name},
        "target_name",
        SIGNED_IN,
    ),
    Case(
        "Query.adminUsers",
        listed("adminUsers", "AdminUserFilter"),
        lambda fixtures: {"filter": {"id": {"eq": fixtures.target}}},
        "target",
        ADMINISTRATOR,
        NOT_ADMINISTRATORS,
    ),
    mutates(
        "adminUserUpdate",
        "target",
        ADMINISTRATOR,
        NOT_ADMINISTRATORS,
        result=USER,
        more=lambda _: {"fullName": "x"},
    ),
    *(
        mutates(name, "target", ADMINISTRATOR, NOT_ADMINISTRATORS, result=USER)
        for name in ("adminUserActivate", "adminUserDeactivate", "adminUserSessionsRevoke")
    ),
    # --- events
    Case(
        "Query.taskStats",
        "query ($filter: TaskFilter) { taskStats(filter: $filter) { total } }",
        lambda fixtures: {"filter": {"id": {"eq": fixtures.task}}},
        "task",
        TASK_SEEN,
        hidden="EMPTY",
    ),
    Case(
        "Query.search",
        "query ($words: String!) { search(query: $words) { totalCount nodes { kind } } }",
        lambda fixtures: {"words": fixtures.word},
        "word",
        TASK_SEEN,
        hidden="EMPTY",
    ),
    Case(
        "Viewer.activity",
        mine("activity", "EventFilter"),
        lambda fixtures: {"filter": {"task": {"id": {"eq": fixtures.task}}}},
        "task",
        # A user's own acts: the owner created the task.
        OWNER,
        hidden="EMPTY",
    ),
    Case(
        "Viewer.activityStats",
        "query ($filter: EventFilter) { viewer { activityStats(filter: $filter) { total } } }",
        lambda fixtures: {"filter": {"task": {"id": {"eq": fixtures.task}}}},
        "task",
        OWNER,
        hidden="EMPTY",
    ),
    Case(
        "Query.adminAuditLog",
        "query ($filter: EventFilter) { adminAuditLog(filter: $filter) "
        "{ totalCount nodes { id } } }",
        lambda fixtures: {"filter": {"task": {"id": {"eq": fixtures.task}}}},
        "task",
        ADMINISTRATOR,
        NOT_ADMINISTRATORS,
    ),
    Case(
        "Query.events",
        "query ($since: String!, $filter: EventFilter) "
        "{ events(after: $since, filter: $filter) { nodes { id kind subject { __typename } } } }",
        lambda fixtures: {
            "since": fixtures.before,
            "filter": {"task": {"id": {"eq": fixtures.task}}},
        },
        "task",
        TASK_SEEN,
        hidden="EMPTY",
    ),
    Case(
        "Subscription.taskEvents",
        "subscription ($after: String, $filter: EventFilter) "
        "{ taskEvents(after: $after, filter: $filter) { kind subject { __typename } } }",
        lambda fixtures: {
            "after": fixtures.before,
            "filter": {"task": {"id": {"eq": fixtures.task}}},
        },
        "task",
        TASK_SEEN,
    ),
    Case(
        "Viewer.assignedTasks",
        mine("assignedTasks", "TaskFilter"),
        lambda fixtures: {"filter": {"id": {"eq": fixtures.task}}},
        "task",
        frozenset({AccessRole.ASSIGNEE}),
        hidden="EMPTY",
    ),
    Case(
        "Viewer.ownedTasks",
        mine("ownedTasks", "TaskFilter"),
        lambda fixtures: {"filter": {"id": {"eq": fixtures.task}}},
        "task",
        OWNER,
        hidden="EMPTY",
    ),
    # --- what belongs to one user alone
    *(
        Case(
            f"Viewer.{name}",
            mine(name, f"{type_}Filter"),
            filtered(about),
            about,
            OWNER,
            hidden="EMPTY",
        )
        for name, type_, about in (
            ("sessions", "Session", "session"),
            ("apiKeys", "ApiKey", "api_key"),
            ("devices", "Device", "device"),
            ("webhooks", "Webhook", "webhook"),
            ("integrations", "Integration", "integration"),
        )
    ),
    # --- notifications, and the queue
    Case("Query.node notification", one("node"), by_id("notification"), "notification", OWNER),
    Case(
        "Viewer.notifications",
        mine("notifications", "NotificationFilter"),
        lambda fixtures: {"filter": {"id": {"eq": fixtures.notification}}},
        "notification",
        OWNER,
        hidden="EMPTY",
    ),
    Case(
        "Mutation.notificationMarkRead",
        does("notificationMarkRead", "unreadCount"),
        lambda fixtures: {"input": {"ids": [fixtures.notification]}},
        "notification",
        OWNER,
    ),
    Case("Query.node device", one("node"), by_id("device"), "device", OWNER),
    Case(
        "Mutation.deviceDelete",
        does("deviceDelete", "deletedId"),
        lambda fixtures: {"input": {"device": {"id": fixtures.ids["device"]}}},
        "device",
        OWNER,
    ),
    # --- reminders
    Case("Query.reminder", one("reminder"), by_id("reminder"), "reminder", OWNER),
    Case("Query.node reminder", one("node"), by_id("reminder"), "reminder", OWNER),
    Case(
        "Viewer.reminders",
        mine("reminders", "ReminderFilter"),
        lambda fixtures: {"filter": {"id": {"eq": fixtures.reminder}}},
        "reminder",
        OWNER,
        hidden="EMPTY",
    ),
    Case(
        "Query.reminderPreview",
        "query ($task: ID) { reminderPreview(rule: {due: {offset: 0}}, taskId: $task) }",
        lambda fixtures: {"task": fixtures.task},
        "task",
        TASK_SEEN,
    ),
    *(
        mutates(
            "reminderCreate",
            about,
            ok,
            NOBODY,
            result="reminder { id }",
            suffix=f" of a {about}",
            path=f"{about}Id",
            more=lambda _: {"rule": {"daily": {"time": "09:00"}}},
        )
        for about, ok in (("task", TASK_SEEN), ("project", MEMBERS))
    ),
    mutates(
        "reminderUpdate",
        "reminder",
        OWNER,
        NOBODY,
        result="reminder { id }",
        more=lambda _: {"message": "x"},
    ),
    mutates("reminderDelete", "reminder", OWNER, NOBODY, result="deletedId"),
    # --- webhooks
    Case("Query.webhook", one("webhook"), by_id("webhook"), "webhook", OWNER),
    Case("Query.node webhook", one("node"), by_id("webhook"), "webhook", OWNER),
    Case("Query.node delivery", one("node"), by_id("delivery"), "delivery", OWNER),
    Case("Query.node attempt", one("node"), by_id("attempt"), "attempt", OWNER),
    # A filter for a task that the user cannot see reveals nothing about it, now or later.
    Case(
        "Mutation.webhookCreate",
        does("webhookCreate", "webhook { id }"),
        lambda s: {
            "input": {"url": "https://example.com/", "filter": {"task": {"id": {"eq": s.task}}}}
        },
        "task",
        SIGNED_IN,
    ),
    mutates(
        "webhookUpdate",
        "webhook",
        OWNER,
        NOBODY,
        result="webhook { id }",
        more=lambda _: {"payload": "{ kind }"},
    ),
    mutates("webhookSecretRotate", "webhook", OWNER, NOBODY, result="webhook { id }"),
    mutates("webhookTest", "webhook", OWNER, NOBODY, result="webhookDelivery { id }"),
    mutates("webhookDeliveryRetry", "delivery", OWNER, NOBODY, result="webhookDelivery { id }"),
    mutates(
        "webhookReplay",
        "webhook",
        OWNER,
        NOBODY,
        result="webhook { id }",
        more=lambda s: {"after": s.yesterday, "before": s.today},
    ),
    mutates("webhookDelete", "webhook", OWNER, NOBODY, result="deletedId"),
    Case("Query.integration", one("integration"), by_id("integration"), "integration", OWNER),
    Case("Query.node integration", one("node"), by_id("integration"), "integration", OWNER),
    Case(
        "Mutation.integrationCreate",
        does("integrationCreate", "integration { id }"),
        lambda fixtures: {
            "input": {
                "projectId": fixtures.project,
                "config": {"slack": {"webhookUrl": "https://hooks.example.com/T1/B1/x"}},
            }
        },
        "project",
        EDITORS,
        frozenset({AccessRole.VIEWER}),
    ),
    *(
        mutates(name, "integration", OWNER, NOBODY, result=result)
        for name, result in (
            ("integrationUpdate", "integration { id }"),
            ("integrationSync", "integration { id }"),
            ("integrationDelete", "deletedId"),
        )
    ),
    Case("Query.node job", one("node"), by_id("job"), "job", ADMINISTRATOR),
    Case(
        "Query.adminJobs",
        listed("adminJobs", "JobFilter"),
        lambda fixtures: {"filter": {"id": {"eq": fixtures.job}}},
        "job",
        ADMINISTRATOR,
        NOT_ADMINISTRATORS,
    ),
    mutates("adminJobRetry", "job", ADMINISTRATOR, NOT_ADMINISTRATORS, result="job { id }"),
    Case(
        "Query.adminJobQueue",
        "{ adminJobQueue { waiting } }",
        lambda _: {},
        None,
        ADMINISTRATOR,
        NOT_ADMINISTRATORS,
    ),
    # --- sessions
    Case("Query.node session", one("node"), by_id("session"), "session", OWNER),
    mutates("sessionRevoke", "session", OWNER, NOBODY, result="session { id }"),
    mutates("sessionUpdate", "session", OWNER, NOBODY, result="session { id }"),
    Case("Query.node API key", one("node"), by_id("api_key"), "api_key", OWNER),
    mutates("apiKeyRevoke", "api_key", OWNER, NOBODY, result="apiKey { id }"),
    Case(
        "Mutation.apiKeyCreate",
        does("apiKeyCreate", "apiKey { id }"),
        lambda fixtures: {
            "input": {"name": "x", "scopes": ["READ"], "projectIds": [fixtures.project]}
        },
        "project",
        MEMBERS,
    ),
]

# Root fields without a case, each with its reason. A field of `viewer` needs a case only if an
# argument of it can name an object.
UNADDRESSED: dict[str, str] = {
    "Query.viewer": "is about the viewer",
    "Mutation.timerStop": "is about the viewer",
    "Mutation.timeEntryImport": "creates entries of the viewer; other tests cover the file's keys",
    "Subscription.timerChanged": "is about the viewer",
    "Mutation.notificationMarkAllRead": "is about the viewer",
    "Mutation.notificationPreferencesUpdate": "is about the viewer",
    "Mutation.deviceCreate": "is about the viewer",
    "Subscription.notificationReceived": "is about the viewer",
    "Query.trash": "is about the viewer; `tests/rights` compares it with the model",
    "Query.eventCursor": "is the same position for everybody",
    "Query.rateLimit": "is about the viewer",
    "Query.serverInfo": "is the same for everybody",
    "Mutation.userRegister": "names nothing that exists",
    "Mutation.accountUpdate": "is about the viewer",
    "Mutation.passwordChange": "is about the viewer",
    "Mutation.avatarUpload": "is about the viewer",
    "Mutation.avatarDelete": "is about the viewer",
    "Mutation.accountDelete": "is about the viewer",
    "Mutation.projectCreate": "names nothing that exists; the client generates the id",
    "Mutation.sessionCreate": "answers INVALID_CREDENTIALS for every account",
    "Mutation.sessionRefresh": "is about the holder of the token",
    "Mutation.sessionRevokeOthers": "is about the viewer",
    "Mutation.streamTokenCreate": "is about the viewer",
    "Mutation.passwordResetRequest": "answers the same for everybody",
    "Mutation.passwordReset": "is about the holder of the token",
    "Mutation.emailVerificationRequest": "is about the viewer",
    "Mutation.emailChangeRequest": "is about the viewer",
    "Mutation.emailVerify": "is about the holder of the token or code",
}

# Root fields that need no credentials.
PUBLIC = {
    "Query.rateLimit",
    "Query.serverInfo",
    # Null, without an error.
    "Query.viewer",
    "Mutation.userRegister",
    "Mutation.sessionCreate",
    "Mutation.sessionRefresh",
    "Mutation.passwordResetRequest",
    "Mutation.passwordReset",
    "Mutation.emailVerify",
}
