"""One filter for events, and what caused them; stored filters and payloads of webhooks follow."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import sqlalchemy as sa
from alembic import op
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    NamedTypeNode,
    NameNode,
    OperationDefinitionNode,
    SelectionSetNode,
    parse,
    print_ast,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision: str = "0032"
down_revision: str | None = "0031"
branch_labels: str | None = None
depends_on: str | None = None

_ENDS: Final = ("actor_id", "task_id", "project_id")
_ACTIVE, _DISABLED = 1, 2
_WEBHOOK_DISABLED = 8

# --- filters -------------------------------------------------------------------------------------

# Relations had a twin that compared the ID.
_TWINS: Final = frozenset(
    f"{end}Id"
    for end in (
        *("project", "owner", "assignee", "parent", "user", "sharedBy", "author", "uploader"),
        "task",
    )
)


def event_filter(
    stored: Mapping[str, Any] | None, events: list[str] | None
) -> tuple[dict[str, Any] | None, str | None]:
    """The filter of before, with the kinds beside it, as an `EventFilter`; and why it never matched
    anything.
    """
    given = dict(stored or {})
    made: dict[str, Any] = {}
    why = None
    lists = [kinds for kinds in (events, given.get("kinds")) if kinds is not None]
    if lists:
        both = [kind for kind in lists[0] if all(kind in kinds for kinds in lists)]
        if not both:
            why = "Its filter and its list of events had no kind of event in common."
        made["kind"] = {"in": both or lists[0]}
    for old, new in (("projects", "project"), ("tasks", "task"), ("actors", "actor")):
        if given.get(old) is not None:
            made[new] = {"id": {"in": given[old]}}
    if given.get("excludeOwn"):
        made["not"] = {"actor": {"isMe": True}}
    if given.get("task") is not None:
        task = _rewritten(given["task"])
        made["task"] = {"and": [made["task"], task]} if "task" in made else task
    return made or None, why


def _rewritten(value: Any) -> Any:
    """A filter of a task, or of what belongs to one, by the new names."""
    if isinstance(value, list):
        return [_rewritten(item) for item in value]
    if not isinstance(value, dict):
        return value
    made: dict[str, Any] = {}
    for name, inner in value.items():
        for new, meaning in _field(name, inner):
            if new not in made:
                made[new] = meaning
            elif new == "and":
                made["and"] = [*made["and"], *meaning]
            else:
                made["and"] = [*made.get("and", []), {new: meaning}]
    return made


def _field(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if name in _TWINS:
        yield name.removesuffix("Id"), _end(value)
    elif name == "completed":
        completed = {"status": {"eq": "COMPLETED"}}
        yield ("status", completed["status"]) if value else ("not", completed)
    elif name == "sharedWithMe":
        shared = {"shares": {"some": {"user": {"isMe": True}}}}
        yield ("shares", shared["shares"]) if value else ("not", shared)
    elif name == "estimateMinutes":
        yield "estimate", {operator: _seconds(operand) for operator, operand in value.items()}
    else:
        yield name, _rewritten(value)


def _end(comparators: dict[str, Any]) -> dict[str, Any]:
    if comparators.get("isNull"):
        # What compares with no end says nothing more.
        return {"isNull": True}
    by_id = {name: operand for name, operand in comparators.items() if name != "isNull"}
    if by_id:
        return {"id": by_id}
    return {"isNull": False} if "isNull" in comparators else {}


def _seconds(operand: Any) -> Any:
    if isinstance(operand, bool) or operand is None:
        return operand
    return [60 * one for one in operand] if isinstance(operand, list) else 60 * operand


# --- payloads ------------------------------------------------------------------------------------

# What a payload can select, of both earlier schemas, as far as it has objects below it (`:Type`),
# another name now (`>name`) or no equal (`!`).
_FIELDS: Final = {
    line.split()[0]: line.split()[1:]
    for line in """
Attachment task:Task uploader:User size>byteSize url>downloadUrl
AttachmentConnection edges:AttachmentEdge nodes:Attachment
AttachmentEdge node:Attachment
Comment author:User task:Task parent:Comment replies:CommentConnection mentions:User
Comment+ revisions:CommentRevisionConnection
CommentConnection edges:CommentEdge nodes:Comment
CommentEdge node:Comment
CommentRevisionConnection edges:CommentRevisionEdge nodes:CommentRevision
CommentRevisionEdge node:CommentRevision
Event actor:User subject:EventSubject task:Task project:Project sessionId! changes:FieldChange
EventConnection edges:EventEdge nodes:Event
EventEdge node:Event
FieldChange from! to!
Project allowOverlaps>isOverlapAllowed trackedSeconds>tracked timeEntries:TimeEntryConnection
Project+ owner:User members:ProjectMemberConnection tasks:TaskConnection stats:TaskStats
Project++ tags>tagUsage:TagConnection viewerCanShare>viewerCanManageMembers tagUsage:TagConnection
ProjectMember user:User project:Project
ProjectMemberConnection edges:ProjectMemberEdge nodes:ProjectMember
ProjectMemberEdge node:ProjectMember
Reminder owner:User task:Task project:Project kind! rule! enabled>isEnabled
Tag tag>name count>taskCount
TagConnection edges:TagEdge nodes:Tag
TagEdge node:Tag
Task key>identifier estimateMinutes! project:Project owner:User assignee:User parent:Task
Task+ subtasks:TaskConnection shares:TaskShareConnection comments:CommentConnection
Task++ attachments:AttachmentConnection activity:EventConnection trackedSeconds>tracked
Task+++ timeEntries:TimeEntryConnection
TaskConnection edges:TaskEdge nodes:Task
TaskEdge node:Task
TaskShare task:Task user:User owner! sharedBy:User
TaskShareConnection edges:TaskShareEdge nodes:TaskShare
TaskShareEdge node:TaskShare
TaskStats incomplete>open byTag:Tag
TimeEntry user:User project:Project task:Task durationSeconds>duration billable>isBillable
TimeEntry+ overlaps>hasOverlap
TimeEntryConnection edges:TimeEntryEdge nodes:TimeEntry
TimeEntryEdge node:TimeEntry
User email! timezone! weekStart! locale! isActive! isAdmin! emailVerifiedAt! sessions!
User+ runningTimer! apiKeys! assignedTasks:TaskConnection
""".strip().splitlines()
}
_TYPES: Final = {
    "TaskEvent": "Event",
    "ActivityConnection": "EventConnection",
    "ActivityEdge": "EventEdge",
    "TagCount": "Tag",
    "StatusCount": "TaskStatusCount",
    "PriorityCount": "TaskPriorityCount",
}
# The end of every default payload, which the server wrote where a key could not read all of it.
_OLD_CHANGES: Final = "  changes { field from to }\n}"
_NEW_CHANGES: Final = """  changes {
    __typename
    field
    ... on TextChange { oldText newText }
    ... on NumberChange { oldNumber newNumber }
    ... on BooleanChange { wasTrue isTrue }
    ... on DateChange { oldDate newDate }
    ... on DateTimeChange { oldTime newTime }
    ... on NodeChange { oldId newId }
    ... on ListChange { added removed }
    ... on JSONChange { oldValue newValue }
  }
}"""
_OLD_DEFAULT: Final = "{\n  id\n  kind\n  at\n  cursor\n  summary\n  requestId\n  subjectId\n"


class Unwritable(Exception):  # noqa: N818 - no error: the webhook is disabled
    """A payload that has no equal. The message says which field."""


def payload_document(stored: str) -> str:
    """A payload of before with the new names; renamed fields keep their names in the answer.
    Raises `Unwritable`.
    """
    if stored.startswith(_OLD_DEFAULT) and stored.endswith(_OLD_CHANGES):
        return stored.removesuffix(_OLD_CHANGES) + _NEW_CHANGES
    try:
        document = parse(stored)
    except GraphQLError as error:
        raise Unwritable(f"it cannot be parsed: {error.message}") from None
    changed = False
    made = []
    for definition in document.definitions:
        if isinstance(definition, FragmentDefinitionNode):
            on = definition.type_condition.name.value
        elif isinstance(definition, OperationDefinitionNode):
            on = "Event"
        else:
            raise Unwritable("it defines types.")
        rewriter = _Rewriter()
        sets = rewriter.sets(_TYPES.get(on, on), definition.selection_set)
        fields: dict[str, Any] = {"selection_set": sets}
        if isinstance(definition, FragmentDefinitionNode):
            fields["type_condition"] = _named(_TYPES.get(on, on))
            rewriter.changed |= on in _TYPES
        changed |= rewriter.changed
        made.append(_with(definition, **fields))
    if not changed:
        return stored
    # The stored form is a selection without `query`, as its owner wrote it.
    return "\n\n".join(print_ast(node) for node in made)


def _with(node: Any, **fields: Any) -> Any:
    """A copy of a node with other parts."""
    own = {key: getattr(node, key, None) for key in node.keys}
    return type(node)(**(own | fields))


def _named(name: str) -> NamedTypeNode:
    return NamedTypeNode(name=NameNode(value=name))


class _Rewriter:
    def __init__(self) -> None:
        self.changed = False

    def sets(self, on: str, selections: SelectionSetNode) -> SelectionSetNode:
        return SelectionSetNode(
            selections=tuple(self._node(on, node) for node in selections.selections)
        )

    def _node(self, on: str, node: Any) -> Any:
        if isinstance(node, FragmentSpreadNode):
            return node
        if isinstance(node, InlineFragmentNode):
            if node.type_condition is None:
                return _with(node, selection_set=self.sets(on, node.selection_set))
            old = node.type_condition.name.value
            new = _TYPES.get(old, old)
            self.changed |= new != old
            return _with(
                node,
                type_condition=_named(new),
                selection_set=self.sets(new, node.selection_set),
            )
        return self._field(on, node)

    def _field(self, on: str, node: FieldNode) -> FieldNode:
        name = node.name.value
        new, below = _lookup(on, name)
        if new is None:
            raise Unwritable(f"`{on}.{name}` has no equal in this version.")
        for argument in node.arguments or ():
            if argument.name.value in {"filter", "orderBy"}:
                raise Unwritable(f"the argument `{argument.name.value}` of `{name}` has changed.")
        fields: dict[str, Any] = {}
        if new != name:
            self.changed = True
            fields["name"] = NameNode(value=new)
            fields["alias"] = node.alias or NameNode(value=name)
        if node.selection_set is not None:
            fields["selection_set"] = self.sets(below or "", node.selection_set)
        made: FieldNode = _with(node, **fields)
        return made


def _lookup(on: str, name: str) -> tuple[str | None, str | None]:
    """The new name of a field, None if it has no equal, and the type below it."""
    for suffix in ("", "+", "++", "+++"):
        for entry in _FIELDS.get(f"{on}{suffix}", ()):
            field, _, below = entry.partition(":")
            old, _, new = field.removesuffix("!").partition(">")
            if old == name:
                return (None if field.endswith("!") else new or old), below or None
    return name, None


# --- the database --------------------------------------------------------------------------------


def upgrade() -> None:
    op.add_column("events", sa.Column("integration_id", sa.Uuid(), nullable=True))
    for column in _ENDS:
        op.create_index(f"ix_events_{column}_xid_position", "events", [column, "xid", "position"])
        op.drop_index(f"ix_events_{column}_at", "events")
    connection = op.get_bind()
    rows = connection.execute(
        sa.text("SELECT id, user_id, url, events, filter, payload, status FROM webhooks")
    ).all()
    for row in rows:
        filter_, reason = event_filter(row.filter, row.events)
        payload = row.payload
        try:
            payload = payload and payload_document(payload)
        except Unwritable as error:
            reason = (
                f"Its payload cannot be translated to the new schema: {error} Write it anew and "
                "enable the webhook."
            )
        if (filter_, payload) != (row.filter, row.payload):
            connection.execute(
                sa.update(_WEBHOOKS)
                .where(_WEBHOOKS.c.id == row.id)
                .values(filter=filter_, payload=payload)
            )
        if reason is not None and row.status == _ACTIVE:
            _disable(connection, row, reason)
    op.drop_column("webhooks", "events")


_WEBHOOKS = sa.table(
    "webhooks",
    sa.column("id", sa.Uuid()),
    sa.column("filter", JSONB(none_as_null=True)),
    sa.column("payload", sa.Text()),
)


def _disable(connection: sa.Connection, row: Any, reason: str) -> None:
    """Disable a webhook and tell its owner, as the server does."""
    now = dt.datetime.now(dt.UTC)
    connection.execute(
        sa.text(
            "UPDATE webhooks SET status = :status, disabled_reason = :reason, disabled_at = :now,"
            " updated_at = :now, version = version + 1 WHERE id = :id"
        ),
        {"status": _DISABLED, "reason": reason, "now": now, "id": row.id},
    )
    connection.execute(
        sa.text(
            "UPDATE webhook_deliveries SET state = 4, next_attempt_at = NULL,"
            " error = 'The webhook was disabled.' WHERE webhook_id = :id AND state = 1"
        ),
        {"id": row.id},
    )
    changes: list[dict[str, Any]] = [
        {"field": "status", "from": "ACTIVE", "to": "DISABLED"},
        {"field": "disabled_reason", "from": None, "to": reason},
    ]
    _record(connection, row.user_id, "WEBHOOK_UPDATED", ("Webhook", row.id), changes)
    notification = uuid4()
    host = urlsplit(row.url).netloc
    connection.execute(
        sa.text(
            "INSERT INTO notifications (id, recipient_id, kind, message, created_at, in_app, email)"
            " VALUES (:id, :user, :kind, :message, :now, true, false)"
        ),
        {
            "id": notification,
            "user": row.user_id,
            "kind": _WEBHOOK_DISABLED,
            "message": f"Your webhook to {host} was disabled. {reason}",
            "now": now,
        },
    )
    _record(connection, row.user_id, "NOTIFICATION_CREATED", ("Notification", notification), [])


def _record(
    connection: sa.Connection,
    user: UUID,
    kind: str,
    subject: tuple[str, UUID],
    changes: list[dict[str, Any]],
) -> None:
    connection.execute(
        sa.text(
            "INSERT INTO events (id, at, kind, subject_type, subject_id, audience, changes)"
            " VALUES (:id, now(), :kind, :type, :subject, :audience, :changes)"
        ).bindparams(
            sa.bindparam("audience", [user], ARRAY(sa.Uuid())),
            sa.bindparam("changes", changes, JSONB()),
        ),
        {"id": uuid4(), "kind": kind, "type": subject[0], "subject": subject[1]},
    )


def downgrade() -> None:
    op.add_column("webhooks", sa.Column("events", ARRAY(sa.Text()), nullable=True))
    connection = op.get_bind()
    for row in connection.execute(sa.text("SELECT id, filter FROM webhooks")).all():
        filter_, understood = _former(row.filter)
        connection.execute(
            sa.update(_WEBHOOKS).where(_WEBHOOKS.c.id == row.id).values(filter=filter_)
        )
        if not understood:
            connection.execute(
                sa.text(
                    "UPDATE webhooks SET status = :status, disabled_at = now(), disabled_reason ="
                    " 'Its filter is not understood by this version.' WHERE id = :id"
                ),
                {"status": _DISABLED, "id": row.id},
            )
    for column in _ENDS:
        op.create_index(f"ix_events_{column}_at", "events", [column, "at"])
        op.drop_index(f"ix_events_{column}_xid_position", "events")
    op.drop_column("events", "integration_id")


def _former(stored: dict[str, Any] | None) -> tuple[dict[str, Any] | None, bool]:
    """The filter of before, and whether it is equal."""
    made: dict[str, Any] = {}
    understood = True
    for name, value in (stored or {}).items():
        if name == "kind" and set(value) == {"in"}:
            made["kinds"] = value["in"]
        elif name in {"project", "task", "actor"} and set(value) == {"id"}:
            ids = value["id"]
            made[f"{name}s"] = ids.get("in") or [ids["eq"]] if set(ids) <= {"in", "eq"} else None
            understood &= made[f"{name}s"] is not None
        elif name == "not" and value == {"actor": {"isMe": True}}:
            made["excludeOwn"] = True
        else:
            understood = False
    return ({key: value for key, value in made.items() if value} or None), understood
