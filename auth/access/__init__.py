"""Who may see and do what, written once, as SQL predicates.

`read`, `edit`, `delete` and `share` return a predicate over a model (or an alias of it) for a
viewer. Roots, relations, mutations, subscriptions, downloads and exports put it into their
statements; nobody restates it. A model without a rule raises.

The table of rights stands in docs/access.md; each rule is one row of it. A right on a task
reaches its subtasks ("a subtask follows its parent"): subtasks nest three levels at most, so the
ancestors of a task are `parent_id` and `root_id`, and no rule recurses.
"""

from __future__ import annotations

# Importing them writes their rules into `RULES`.
from auth.access import people, projects, tasks  # noqa: F401 - for their rules
from auth.access.events import audit
from auth.access.parts import member_projects, role_in, shared_tasks
from auth.access.rule import (
    RULES,
    Entity,
    Predicate,
    Rule,
    Who,
    delete,
    edit,
    reach,
    read,
    rule_of,
    share,
)

__all__ = [
    "RULES",
    "Entity",
    "Predicate",
    "Rule",
    "Who",
    "audit",
    "delete",
    "edit",
    "member_projects",
    "reach",
    "read",
    "role_in",
    "rule_of",
    "share",
    "shared_tasks",
]
