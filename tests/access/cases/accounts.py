"""Users, sessions, notifications, and what belongs to one user alone."""

from __future__ import annotations

from tests.access.case import (
    ADMINISTRATOR,
    MEMBERS,
    NOBODY,
    NOT_ADMINISTRATORS,
    OWNER,
    SIGNED_IN,
    USER,
    Case,
    by_id,
    does,
    filtered,
    listed,
    mine,
    mutates,
    one,
)

CASES: list[Case] = [
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
]
