"""The schema: every noun's root fields in one place."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import strawberry
from graphql import GraphQLInputObjectType
from strawberry.printer import print_schema

from db.base import Base
from errors import BadInput, Failure, NotFound
from graph.core import ids
from graph.core.fields import BatchInfo, arg, root
from graph.core.node import TYPE_NAMES, Node
from graph.core.scalars import CONFIG
from graph.kit.loading import load_object, load_objects
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


async def _node(
    info: BatchInfo,
    id: Annotated[strawberry.ID, arg("Any global id.")],  # noqa: A002
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
    ids_: Annotated[list[strawberry.ID], arg(f"At most {MAX_NODES} global ids.", name="ids")],
) -> list[Any]:
    info.viewer.require()
    if len(ids_) > MAX_NODES:
        raise BadInput(f"At most {MAX_NODES} ids; there are {len(ids_)}.", path=("ids",))
    rows: list[Any] = [None] * len(ids_)
    places: dict[type[Base], list[tuple[int, UUID]]] = {}
    for index, text in enumerate(ids_):
        try:
            model, key = ids.split(text, ("ids", index))
        except BadInput as failure:
            # Of this item alone.
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
    """That an API key may read objects of this type; a fragment on it is not asked for."""
    scopes.demand(info.viewer, scopes.scopes_of_type(TYPE_NAMES[model]) or ())


@strawberry.type(description="What can be asked.")
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
        _node, "Any object by its id; null with `NOT_FOUND` if there is none for you."
    )
    nodes: list[Node | None] = root(
        _nodes,
        "Objects by their ids, in the same order; null where there is none for you, and null with "
        "an error for an id that is malformed.",
    )


@strawberry.type(description="What can be done. Each field is one transaction.")
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
    _leave_one_of_to_graphql(made)
    scopes.complete(made._schema)  # noqa: SLF001 - Strawberry's way to it
    return made


def _leave_one_of_to_graphql(made: strawberry.Schema) -> None:
    """Have graphql-core check `@oneOf`, which says where in a variable it is broken. Strawberry's
    own check comes when the place is no longer known.
    """
    for type_ in made._schema.type_map.values():  # noqa: SLF001 - Strawberry's way to it
        if isinstance(type_, GraphQLInputObjectType):
            definition = type_.extensions["strawberry-definition"]
            if definition.is_one_of:
                type_.is_one_of = True
                # Set for each such type, in place of a method of the class.
                del type_.out_type


schema = make_schema()


def sdl() -> str:
    """The schema as text; `schema.graphql` is this."""
    return print_schema(schema) + "\n"
