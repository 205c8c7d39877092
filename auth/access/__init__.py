"""All permissions, written once, as SQL predicates.

`read`, `edit`, `delete` and `share` return a predicate over a model (or an alias of it) for a
viewer. Roots, relations, mutations, subscriptions, downloads and exports use them in their
statements and never repeat a rule. A model without a rule raises.

The table of permissions is in docs/access.md; each rule is one of its rows. `auth.access.grants`
declares how users get permissions on tasks and time entries.
"""

from __future__ import annotations

# Importing these modules adds their rules to `RULES`.
from auth.access import people, projects, tasks  # noqa: F401 - for their rules
from auth.access.events import audit
from auth.access.exports import could_export_again
from auth.access.grants import TASK_GRANTS, Who, holders
from auth.access.lists import list_of, seen_beside, whole_lists
from auth.access.parts import member_projects, role_in
from auth.access.people import works_with
from auth.access.rule import (
    RULES,
    Entity,
    Predicate,
    Rule,
    add,
    archive,
    candidate_ids,
    candidate_ids_apart,
    container,
    delete,
    edit,
    is_part,
    read,
    read_by,
    read_or_restore,
    restore,
    rule_of,
    share,
)
from auth.access.tasks import shared_tasks

__all__ = [
    "RULES",
    "TASK_GRANTS",
    "Entity",
    "Predicate",
    "Rule",
    "Who",
    "add",
    "archive",
    "audit",
    "candidate_ids",
    "candidate_ids_apart",
    "container",
    "could_export_again",
    "delete",
    "edit",
    "holders",
    "is_part",
    "list_of",
    "member_projects",
    "read",
    "read_by",
    "read_or_restore",
    "restore",
    "role_in",
    "rule_of",
    "seen_beside",
    "share",
    "shared_tasks",
    "whole_lists",
    "works_with",
]
