"""The schema: the root fields of all areas, and its description."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import strawberry
from graphql import GraphQLInputObjectType
from graphql.utilities.print_schema import print_schema_definition
from strawberry.printer import print_schema

from db.base import Base
from errors import BadInput, Failure, NotFound
from graph.core import ids
from graph.core.fields import BatchInfo, arg, root
from graph.core.node import TYPE_NAMES, Node
from graph.core.scalars import CONFIG
from graph.kit.loading import load_object, load_objects
from graph.kit.paging import DEFAULT_PAGE, MAX_PAGE
from graph.request import scopes
from graph.types.accounts.account_mail import AccountMailMutation
from graph.types.accounts.api_key import ApiKey, ApiKeyMutation
from graph.types.accounts.avatar_mutations import AvatarMutation
from graph.types.accounts.session import Session, SessionMutation
from graph.types.accounts.user import User, UserMutation, UserQuery
from graph.types.admin.job import Job, JobMutation, JobQuery
from graph.types.admin.user_admin import UserAdminMutation, UserAdminQuery
from graph.types.events.activity import ActivityQuery
from graph.types.events.event import EventQuery
from graph.types.events.subscription import Subscription
from graph.types.integrations.integration import (
    Integration,
    IntegrationMutation,
    IntegrationProblem,
    IntegrationQuery,
)
from graph.types.integrations.webhook import Webhook, WebhookDelivery, WebhookMutation, WebhookQuery
from graph.types.notifications.device import Device, DeviceMutation, DeviceQuery
from graph.types.notifications.notification import (
    Notification,
    NotificationMutation,
    NotificationQuery,
)
from graph.types.projects.project import Project, ProjectMember, ProjectMutation, ProjectQuery
from graph.types.rate_limit import RateLimitQuery
from graph.types.search import SearchQuery
from graph.types.server_info import ServerQuery
from graph.types.tasks.attachment import Attachment, AttachmentMutation, AttachmentQuery
from graph.types.tasks.comment import Comment, CommentMutation, CommentQuery, CommentRevision
from graph.types.tasks.reminder import Reminder, ReminderMutation, ReminderQuery
from graph.types.tasks.share import TaskShare, TaskShareMutation, TaskShareQuery
from graph.types.tasks.stats import StatsQuery
from graph.types.tasks.tag import TagMutation, TagQuery
from graph.types.tasks.task import Task, TaskMutation, TaskQuery
from graph.types.tasks.task_bulk import TaskBulkMutation
from graph.types.time.report import TimeReportQuery
from graph.types.time.report_export import ReportExport, ReportExportMutation, ReportExportQuery
from graph.types.time.time_bulk import TimeEntryBulkMutation
from graph.types.time.time_entry import TimeEntry, TimeEntryMutation, TimeEntryQuery
from graph.types.time.time_import import TimeEntryImportMutation

MAX_NODES = 100

DESCRIPTION = f"""\
Taskloom is an API for projects, tasks, comments, files, tracked time and reports, with live \
updates, webhooks and integrations.

**Authentication.** Send the header `Authorization: Bearer …` with an access token from \
`sessionCreate` or with an API key from `apiKeyCreate`. What you cannot see does not exist for \
you: its fields are null, and its ID is `NOT_FOUND`.

**Paging.** Lists are connections. Use `first` and `after`, or `last` and `before`; a page has \
{DEFAULT_PAGE} items by default and at most {MAX_PAGE}. Continue with `pageInfo.endCursor`. Most \
lists take a `filter` and an `orderBy`.

**Mutations.** Each takes one `input` and is one transaction. Send an `idempotencyKey` to repeat \
it safely, and `ifVersion` to detect changes by others.

**Errors.** Expected failures of a mutation are in the `errors` of its payload. Top-level errors \
are for queries, authentication, limits, invalid documents and server errors. Both have a code of \
`ErrorCode`; top-level errors have it in `extensions.code`.

**Cost.** Every operation costs points, and each user or API key has a budget per minute. \
`extensions.cost` in every response and the query `rateLimit` show what is left."""


async def _node(
    info: BatchInfo,
    id: Annotated[strawberry.ID, arg("The object's global ID.")],  # noqa: A002
) -> Any:
    info.viewer.require()
    model, key = ids.split(id, ("id",))
    row = None
    if model in TYPE_NAMES:
        _demand(info, model)
        row = await load_object(info, model, key)
    if row is None:
        raise NotFound(path=("id",))
    return row


async def _nodes(
    info: BatchInfo,
    ids_: Annotated[
        list[strawberry.ID], arg(f"The objects' global IDs, at most {MAX_NODES}.", name="ids")
    ],
) -> list[Any]:
    info.viewer.require()
    if len(ids_) > MAX_NODES:
        raise BadInput(
            f"ids must have at most {MAX_NODES} items; it has {len(ids_)}.", path=("ids",)
        )
    rows: list[Any] = [None] * len(ids_)
    places: dict[type[Base], list[tuple[int, UUID]]] = {}
    for index, text in enumerate(ids_):
        try:
            model, key = ids.split(text, ("ids", index))
        except BadInput as failure:
            # Only this item fails.
            rows[index] = failure
        else:
            places.setdefault(model, []).append((index, key))
    for model in TYPE_NAMES.keys() & places.keys():
        loaded: list[Any]
        try:
            _demand(info, model)
        except Failure as failure:
            loaded = [failure] * len(places[model])
        else:
            loaded = await load_objects(info, model, [key for _, key in places[model]])
        for (index, _), row in zip(places[model], loaded, strict=True):
            rows[index] = row
    return rows


def _demand(info: BatchInfo, model: Any) -> None:
    """Require that an API key may read objects of this type, even without a fragment on it."""
    scopes.demand(info.viewer, scopes.scopes_of_type(TYPE_NAMES[model]) or ())


@strawberry.type(description="Queries.")
class Query(
    TaskQuery,
    TimeEntryQuery,
    TimeReportQuery,
    ReportExportQuery,
    TagQuery,
    TaskShareQuery,
    CommentQuery,
    AttachmentQuery,
    ProjectQuery,
    UserQuery,
    UserAdminQuery,
    StatsQuery,
    SearchQuery,
    ActivityQuery,
    EventQuery,
    NotificationQuery,
    DeviceQuery,
    ReminderQuery,
    WebhookQuery,
    IntegrationQuery,
    JobQuery,
    RateLimitQuery,
    ServerQuery,
):
    """Root fields of queries."""

    node: Node | None = root(
        _node,
        "Returns any object by its global ID. Null with `NOT_FOUND` if it does not exist or you "
        "cannot see it.",
    )
    nodes: list[Node | None] = root(
        _nodes,
        "Returns objects by their global IDs, in the same order. Null for an object that does "
        "not exist or that you cannot see; null with an error for an invalid ID.",
    )


@strawberry.type(description="Mutations. Each field is one transaction.")
class Mutation(
    TaskMutation,
    TaskBulkMutation,
    TimeEntryMutation,
    TimeEntryBulkMutation,
    ReportExportMutation,
    TimeEntryImportMutation,
    TagMutation,
    TaskShareMutation,
    CommentMutation,
    AttachmentMutation,
    ProjectMutation,
    UserMutation,
    AvatarMutation,
    UserAdminMutation,
    SessionMutation,
    ApiKeyMutation,
    AccountMailMutation,
    NotificationMutation,
    DeviceMutation,
    ReminderMutation,
    WebhookMutation,
    IntegrationMutation,
    JobMutation,
):
    """Root fields of mutations."""


def make_schema() -> strawberry.Schema:
    """The executable schema."""
    made = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[
            Task,
            TimeEntry,
            ReportExport,
            TaskShare,
            Comment,
            CommentRevision,
            Attachment,
            Project,
            ProjectMember,
            User,
            Session,
            ApiKey,
            Notification,
            Device,
            Reminder,
            Webhook,
            WebhookDelivery,
            Integration,
            IntegrationProblem,
            Job,
        ],
        config=CONFIG,
    )
    made._schema.description = DESCRIPTION  # noqa: SLF001 - Strawberry has no parameter for it
    _leave_one_of_to_graphql(made)
    scopes.complete(made._schema)  # noqa: SLF001 - Strawberry's way to it
    return made


def _leave_one_of_to_graphql(made: strawberry.Schema) -> None:
    """Let graphql-core check `@oneOf`: it reports which part of a variable is invalid. Strawberry's
    own check runs when that is no longer known.
    """
    for type_ in made._schema.type_map.values():  # noqa: SLF001 - Strawberry's way to it
        if isinstance(type_, GraphQLInputObjectType):
            definition = type_.extensions["strawberry-definition"]
            if definition.is_one_of:
                type_.is_one_of = True
                # Set on each such type, replacing a method of the class.
                del type_.out_type


schema = make_schema()


def sdl() -> str:
    """The schema as text; `schema.graphql` is this."""
    # Strawberry's printer leaves the schema's own description out.
    definition = print_schema_definition(schema._schema)  # noqa: SLF001 - Strawberry's way to it
    return f"{definition}\n\n{print_schema(schema).rstrip()}\n"
