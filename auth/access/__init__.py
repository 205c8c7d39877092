"""Who may see and do what, written once, as SQL predicates.

`read`, `edit`, `delete` and `share` return a predicate over a model (or an alias of it) for a
viewer. Roots, relations, mutations, subscriptions, downloads and exports put it into their
statements; nobody restates it. A model without a rule raises.

The table of rights is in docs/access.md; each rule is one row of it. How people come to rights on
tasks and time entries is declared in `auth.access.grants`.
"""

from __future__ import annotations

# Importing them writes their rules into `RULES`.
from auth.access import people, projects, tasks  # noqa: F401 - for their rules
from auth.access.events import audit
from auth.access.exports import could_export_again
from auth.access.grants import TASK_GRANTS, Who, holders
from auth.access.parts import member_projects, role_in
from auth.access.rule import (
    RULES,
    Entity,
    Predicate,
    Rule,
    archive,
    candidate_ids,
    delete,
    edit,
    read,
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
    "archive",
    "audit",
    "candidate_ids",
    "could_export_again",
    "delete",
    "edit",
    "holders",
    "member_projects",
    "read",
    "role_in",
    "rule_of",
    "share",
    "shared_tasks",
]
