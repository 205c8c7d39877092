"""Tasks, and what belongs to a task."""

from __future__ import annotations

from dataclasses import replace

from tests.access.case import (
    ADMINS,
    ATTACHMENT,
    COMMENT,
    EDITORS,
    MEMBERS,
    NOBODY,
    NODES,
    OWNER,
    SHARE,
    SHARE_SEEN,
    TASK_EDITED,
    TASK_MANAGED,
    TASK_SEEN,
    Case,
    by_id,
    in_bulk,
    listed,
    mine,
    mutates,
    one,
)
from tests.access.fixtures import AccessRole

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
]
