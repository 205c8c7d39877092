"""Time entries, timers and reports."""

from __future__ import annotations

from tests.access.case import (
    ADMINS,
    ENTRY,
    MEMBERS,
    NOBODY,
    OWNER,
    SIGNED_IN,
    TASK_SEEN,
    TIME_SEEN,
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
]
