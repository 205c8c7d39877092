"""Events, and webhooks, which send them."""

from __future__ import annotations

from tests.access.case import (
    ADMINISTRATOR,
    EDITORS,
    NOBODY,
    NOT_ADMINISTRATORS,
    OWNER,
    SIGNED_IN,
    TASK_SEEN,
    Case,
    by_id,
    does,
    listed,
    mine,
    mutates,
    one,
)
from tests.access.fixtures import AccessRole

CASES: list[Case] = [
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
]
