"""Projects and their members."""

from __future__ import annotations

from tests.access.case import (
    ADMINS,
    MEMBER,
    MEMBERS,
    NOBODY,
    OWNER,
    PROJECT,
    Case,
    by_id,
    listed,
    mutates,
    one,
)
from tests.access.fixtures import AccessRole

CASES: list[Case] = [
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
]
