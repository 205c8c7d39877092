"""Presence in the schema: who is looking at which tasks of a project."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple
from uuid import UUID

import strawberry

from db import models
from db.statements import AnyRow
from domain.projects import presence as domain
from domain.work import Work
from errors import NotFound
from events.presence import MOST, SIGN_SECONDS, Here
from graph.core import ids
from graph.core.context import Context
from graph.core.fields import BatchInfo, batch, derived
from graph.core.inputs import MutationInput, given, optional, required
from graph.engine.sql_json import KEY_ONLY
from graph.kit import references
from graph.kit.loading import load_objects, read_by_keys
from graph.kit.mutation import MutationPayload, Refs, moment, mutation, payload
from graph.types.accounts.user import User
from graph.types.tasks.task import Task

# --- types ---------------------------------------------------------------------------------------


class Present(NamedTuple):
    """The source of a `ProjectPresence`, with the tasks that the viewer can see."""

    people: tuple[Here, ...]


async def _users(parents: Sequence[Here], info: BatchInfo) -> Sequence[AnyRow | None]:
    return await load_objects(info, models.User, [parent.user_id for parent in parents])


async def _tasks(parents: Sequence[Here], info: BatchInfo) -> Sequence[AnyRow | None]:
    return await load_objects(info, models.Task, [parent.task_id for parent in parents])


@strawberry.type(description="A user who is looking at a project; one entry for all their devices.")
class Presence:
    user: User | None = batch(_users, "Who is looking; you too. Null if the account was deleted.")
    task: Task | None = batch(
        _tasks,
        "The task that the user is looking at. Null if it is the project as a whole, or a task "
        "that you cannot see.",
    )
    since: dt.datetime = derived(
        (), lambda here: here.since, "Since when the user has been looking at the project."
    )


@strawberry.type(description="Who is looking at a project now.")
class ProjectPresence:
    people: list[Presence] = derived(
        (),
        lambda present: present.people,
        f"The users who are looking at the project, in the order in which they came; at most "
        f"{MOST}.",
    )


# --- subscription --------------------------------------------------------------------------------


async def presence_of(context: Context, project: str) -> AsyncGenerator[Present, None]:
    """Who is looking at a project, after each change that the viewer can see. Raises `NotFound`
    unless the viewer can see the project.
    """
    user_id = context.viewer.require()
    project_id = await references.decoded(context, models.Project, project, ("project_id",))
    await _demand_project(context, project_id)
    return _changes(context, project_id, user_id)


async def _changes(
    context: Context, project_id: UUID, user_id: UUID
) -> AsyncGenerator[Present, None]:
    last: Present | None = None
    changes = context.services.presence.watch(project_id, user_id)
    try:
        async for people in changes:
            await _demand_project(context, project_id)
            present = await _visible(context, people)
            # What changes out of the viewer's sight must not show, not even that it did.
            if present != last:
                yield present
                last = present
    finally:
        await changes.aclose()


async def _demand_project(context: Context, project_id: UUID) -> None:
    if not await read_by_keys(context, models.Project, KEY_ONLY, [project_id]):
        raise NotFound("project", path=("project_id",))


async def _visible(context: Context, people: Sequence[Here]) -> Present:
    """The same people, without the tasks that the viewer cannot see."""
    keys = {here.task_id for here in people if here.task_id is not None}
    seen = await read_by_keys(context, models.Task, KEY_ONLY, keys) if keys else {}
    return Present(
        tuple(here if here.task_id in seen else here._replace(task_id=None) for here in people)
    )


# --- mutations -----------------------------------------------------------------------------------


@strawberry.input(description="Input for `presenceSet`.")
class PresenceSetInput(MutationInput):
    project_id: strawberry.ID = required("The ID or key of the project that you are looking at.")
    task_id: strawberry.ID | None = optional(
        "The task of the project that you are looking at. Omit it for the project as a whole."
    )


@strawberry.input(description="Input for `presenceClear`.")
class PresenceClearInput(MutationInput):
    project_id: strawberry.ID = required("The ID or key of the project that you left.")


@payload("Payload of `presenceSet`.")
class PresenceSetPayload(MutationPayload):
    expires_at: dt.datetime | None = moment(
        "expires_at", "When your presence ends unless you repeat the mutation before."
    )


@payload("Payload of `presenceClear`.")
class PresenceClearPayload(MutationPayload):
    """`presenceClear`."""


async def _set(context: Context, work: Work, data: PresenceSetInput) -> Refs:
    project_id = ids.decode(models.Project, data.project_id, ("project_id",))
    task = given(data.task_id)
    task_id = None if task is None else ids.decode(models.Task, task, ("task_id",))
    expires_at = await domain.look(work, context.services.presence, project_id, task_id)
    return {"expires_at": expires_at}


async def _clear(context: Context, work: Work, data: PresenceClearInput) -> Refs:
    project_id = ids.decode(models.Project, data.project_id, ("project_id",))
    await domain.leave(work, context.services.presence, project_id)
    return {}


@strawberry.type
class PresenceMutation:
    presence_set: PresenceSetPayload = mutation(
        _set,
        PresenceSetInput,
        "Tells the members of a project that you are looking at it, or at one of its tasks. Repeat "
        f"it every 10 to 15 seconds while you do: your presence ends {SIGN_SECONDS:.0f} seconds "
        "after the last call. There is one for each session or API key and project.",
        in_context=True,
    )
    presence_clear: PresenceClearPayload = mutation(
        _clear,
        PresenceClearInput,
        "Tells the members of a project at once that you are not looking at it any longer, with "
        "this session or API key.",
        in_context=True,
    )
