"""What a case of the access matrix is made of: roles, the operation, and who may use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
