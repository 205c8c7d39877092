"""Integrations: what their owners do with them. `jobs` exchanges the data.

An integration acts with the permissions of its creator: it imports what they could create
themselves, and sends what they can see. Credentials can be written but not read: they are stored
encrypted, and never appear in events, errors or jobs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy import delete as delete_rows

from auth import access
from auth.encryption import Encryption
from auth.scopes import EVENT_SCOPES
from auth.viewer import Viewer
from db.models import (
    Connector,
    ExternalLink,
    Integration,
    IntegrationStatus,
    NotificationKind,
    Project,
    User,
)
from domain import locks, rules
from domain.accounts.by_key import demand_live_key, key_after
from domain.integrations import addresses
from domain.notifications.notification import Notice, notify
from domain.projects.project import demand_editor
from domain.work import Work
from errors import BadInput, ErrorCode, Failure, NotFound, Problems, refuse
from events.kinds import EventKind

MAX_INTEGRATIONS = 50
MAX_PEOPLE = 200
SYNC_JOB = "integration.sync"
SEND_JOB = "integration.tell"
GITHUB_URL = "https://api.github.com"
# The kind of link that holds the problem of an assignee who was lost when names became IDs.
ASSIGNEE = "assignee"
# The kinds of events that are posted to a channel by default.
SLACK_EVENTS = (EventKind.TASK_CREATED, EventKind.TASK_COMPLETED, EventKind.COMMENT_CREATED)
# A channel receives only what all members of the project can see.
_TELLABLE = ("PROJECT_", "TASK_", "COMMENT_", "ATTACHMENT_")
_NOT_TELLABLE = "TASK_SHARE_"

# The maximum length of a project's name in a message.
_NAME = 80

_REPOSITORY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}")
_LOGIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,99})")
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,1000}")


@dataclass(frozen=True, slots=True)
class Reach:
    """The addresses that the operator allows, and the encryption of secrets. `plain` allows
    http://.
    """

    encryption: Encryption
    networks: Sequence[addresses.Network]
    plain: bool

    def check(self, url: str, path: rules.Path) -> None:
        """Raise `BadInput` if the server cannot send to a URL."""
        addresses.check_new(url, self.networks, plain=self.plain, path=path)


@dataclass(frozen=True, slots=True)
class GitHubConfig:
    """Settings and token of a connection to GitHub; in a change, None keeps a value.

    `base_url`: None for github.com in a new connection. `assignees`: GitHub logins, each with a
    user.
    """

    repository: str | None = None
    token: str | None = None
    base_url: str | None = None
    assignees: Sequence[tuple[str, UUID]] | None = None
    has_comments: bool | None = None

    connector = Connector.GITHUB
    path = ("config", "github")
    defaults: ClassVar[Mapping[str, Any]] = {
        "baseUrl": GITHUB_URL,
        "assignees": [],
        "hasComments": True,
    }

    @property
    def secret(self) -> str | None:
        """The token, if it is given."""
        return self.token

    def checked(self, reach: Reach) -> dict[str, Any]:
        """Those settings that are given, as they are stored, without looking for the users."""
        path = self.path
        found: dict[str, Any] = {}
        # A token must fit into an HTTP header; its format is GitHub's.
        if self.token is not None and not _PRINTABLE.fullmatch(self.token):
            refuse(
                BadInput(
                    "token must be a GitHub token of 1 to 1,000 printable ASCII characters.",
                    path=(*path, "token"),
                )
            )
        if self.repository is not None:
            repository = found["repository"] = self.repository.strip()
            if not _REPOSITORY.fullmatch(repository) or repository.endswith(("/.", "/..")):
                refuse(
                    BadInput(
                        "repository must be an owner and a name, such as octocat/hello-world.",
                        path=(*path, "repository"),
                    )
                )
        if self.base_url is not None:
            url = found["baseUrl"] = self.base_url.rstrip("/")
            reach.check(url, (*path, "base_url"))
            if "?" in url or "#" in url:
                refuse(
                    BadInput(
                        "baseUrl must not contain a query or a fragment.", path=(*path, "base_url")
                    )
                )
        if self.assignees is not None:
            found["assignees"] = self._checked_assignees(self.assignees)
        if self.has_comments is not None:
            found["hasComments"] = self.has_comments
        return found

    def _checked_assignees(self, assignees: Sequence[tuple[str, UUID]]) -> list[dict[str, str]]:
        path = (*self.path, "assignees")
        if len(assignees) > MAX_PEOPLE:
            refuse(
                BadInput(
                    f"assignees must have at most {MAX_PEOPLE} pairs; it has {len(assignees):,}.",
                    path=path,
                    limit=MAX_PEOPLE,
                    actual=len(assignees),
                )
            )
        for index, (login, _) in enumerate(assignees):
            if not _LOGIN.fullmatch(login):
                refuse(BadInput("login must be a GitHub login.", path=(*path, index, "login")))
        return [{"login": login, "userId": user_id.hex} for login, user_id in assignees]

    async def demand_found(self, work: Work) -> None:
        """Raise `NotFound` for users whom the viewer cannot see."""
        wanted = {user_id for _, user_id in self.assignees or ()}
        if not wanted:
            return
        query = select(User.id).where(User.id.in_(wanted), access.read(work.viewer, User))
        found = set(await work.session.scalars(query))
        missing = Problems()
        for index, (_, user_id) in enumerate(self.assignees or ()):
            if user_id not in found:
                path = (*self.path, "assignees", index, "user_id")
                missing.add(NotFound("user", path=path))
        missing.raise_any()


@dataclass(frozen=True, slots=True)
class SlackConfig:
    """Settings and secret URL of a connection to a channel; in a change, None keeps a value.

    `events`: the kinds that are posted; None for the default in a new connection.
    """

    webhook_url: str | None = None
    events: Sequence[EventKind] | None = None

    connector = Connector.SLACK
    path = ("config", "slack")
    defaults: ClassVar[Mapping[str, Any]] = {"events": [kind.value for kind in SLACK_EVENTS]}

    @property
    def secret(self) -> str | None:
        """The URL of the incoming webhook, if it is given."""
        return self.webhook_url

    def checked(self, reach: Reach) -> dict[str, Any]:
        """Those settings that are given, as they are stored."""
        if self.webhook_url is not None:
            reach.check(self.webhook_url, (*self.path, "webhook_url"))
        if self.events is None:
            return {}
        path = (*self.path, "events")
        if not self.events:
            refuse(BadInput("events must contain at least one kind.", path=path))
        for index, kind in enumerate(self.events):
            if not kind.value.startswith(_TELLABLE) or kind.value.startswith(_NOT_TELLABLE):
                refuse(
                    BadInput(
                        f"{kind.value} cannot be posted to a channel; use kinds of projects, "
                        "members, tasks, comments or attachments.",
                        path=(*path, index),
                    )
                )
        return {"events": list(dict.fromkeys(kind.value for kind in self.events))}

    async def demand_found(self, _work: Work) -> None:
        """Nothing has to be looked up."""


Config = GitHubConfig | SlackConfig


def target_of(connector: Connector, settings: Mapping[str, Any]) -> str | None:
    """The repository, to which a project can be connected only once; None for a channel."""
    if connector is not Connector.GITHUB:
        return None
    return f"{settings['baseUrl'].rstrip('/')}/{settings['repository']}".lower()


def scopes_of(integration: Integration) -> tuple[str, ...]:
    """The scopes that an API key needs for everything the integration does."""
    settings = integration.settings
    if integration.connector is Connector.GITHUB:
        comments = ("comments:write",) if settings["hasComments"] else ()
        return ("tasks:write", *comments)
    told = (EVENT_SCOPES[kind] for kind in settings["events"])
    return tuple(dict.fromkeys(("events:read", "projects:read", "tasks:read", *told)))


_TITLES = {Connector.GITHUB: "GitHub", Connector.SLACK: "a channel"}


async def connect(work: Work, reach: Reach, project_id: UUID, config: Config) -> Integration:
    """Connect a project in which the viewer can create tasks, and queue the first
    synchronization.
    """
    user_id = work.viewer.require()
    settings = {**config.defaults, **config.checked(reach)}
    await locks.lock_owner(work)
    # Locked, so that two concurrent connects of the same project run one after the other.
    await work.readable(Project, project_id, lock=True, path=("project_id",))
    await demand_editor(work, project_id, ("project_id",))
    mine = select(func.count()).select_from(Integration).where(Integration.user_id == user_id)
    count = await work.session.scalar(mine) or 0
    if count >= MAX_INTEGRATIONS:
        raise Failure(
            f"You have {MAX_INTEGRATIONS} integrations, the most allowed; disconnect one first.",
            code=ErrorCode.LIMIT_EXCEEDED,
            limit=MAX_INTEGRATIONS,
            actual=count,
        )
    await config.demand_found(work)
    assert config.secret is not None, "a new connection has one"
    target = target_of(config.connector, settings)
    if target is not None and await work.session.scalar(
        select(Integration.id).where(
            Integration.project_id == project_id, Integration.target == target
        )
    ):
        raise rules.taken("repository in this project", (*config.path, "repository"))
    integration = Integration(
        id=work.new_id(),
        created_at=work.now,
        updated_at=work.now,
        version=1,
        user_id=user_id,
        api_key_id=work.viewer.api_key_id,
        project_id=project_id,
        connector=config.connector,
        settings=settings,
        credentials=reach.encryption.encrypt(config.secret.encode()),
        status=IntegrationStatus.ACTIVE,
        target=target,
        progress={},
    )
    work.session.add(integration)
    await _record(
        work,
        EventKind.INTEGRATION_CREATED,
        integration,
        [("connector", None, config.connector), ("project", None, project_id)],
    )
    await work.session.flush()
    await enqueue_sync(work, integration.id)
    return integration


async def change(
    work: Work,
    reach: Reach,
    integration_id: UUID,
    *,
    config: Config | None = None,
    is_paused: bool | None = None,
    if_version: int | None = None,
    take_over: bool = False,
) -> Integration:
    """Change settings or credentials, pause it or resume it; None keeps a value.

    Any change makes a failed integration active again. The API key that changes an integration
    becomes its key; `take_over` gives it back to its owner.
    """
    checked = {} if config is None else config.checked(reach)
    integration = await work.editable(Integration, integration_id)
    values: dict[str, Any] = {}
    key_id = await key_after(work, integration, take_over=take_over)
    if key_id != integration.api_key_id:
        values["api_key_id"] = key_id
    if config is not None:
        values["settings"] = settings = {**integration.settings, **checked}
        _demand_same_target(integration, config, settings)
        await config.demand_found(work)
        if config.secret is not None:
            values["credentials"] = reach.encryption.encrypt(config.secret.encode())
        if "assignees" in checked:
            await _forget_lost_assignees(work, integration)
    if is_paused is not None:
        values["status"] = IntegrationStatus.PAUSED if is_paused else IntegrationStatus.ACTIVE
    elif values and integration.status is IntegrationStatus.FAILED:
        values["status"] = IntegrationStatus.ACTIVE
    if values.get("settings", integration.settings) != integration.settings:
        # Start over with the new settings; existing tasks are matched again.
        values["progress"] = {}
    if values.get("status", integration.status) is IntegrationStatus.ACTIVE:
        await demand_live_key(work, key_id, ("take_over",))
    changes = work.apply(
        integration,
        values,
        if_version=if_version,
        ref="integration",
        ignore=("credentials", "progress", "api_key_id"),
    )
    if changes or values.keys() & {"credentials", "api_key_id"}:
        if "credentials" in values:
            changes.append(("credentials_changed_at", None, work.now))
        integration.last_error = None
        if "credentials" in values:
            # A new token has its own rate limits.
            integration.wait_until = None
        await _record(work, EventKind.INTEGRATION_UPDATED, integration, changes)
    await work.session.flush()
    if integration.status is IntegrationStatus.ACTIVE:
        await _retry_problems(work, integration.id)
        await enqueue_sync(work, integration.id)
    return integration


def _demand_same_target(
    integration: Integration, config: Config, settings: Mapping[str, Any]
) -> None:
    if config.connector is not integration.connector:
        name = integration.connector.name.lower()
        raise BadInput(f"config of this integration must be given as `{name}`.", path=config.path)
    if target_of(config.connector, settings) != _target_of(integration):
        is_named = isinstance(config, GitHubConfig) and config.repository is not None
        raise BadInput(
            "The repository cannot be changed; connect the other one and delete this integration.",
            path=(*config.path, "repository" if is_named else "base_url"),
        )


async def _forget_lost_assignees(work: Work, integration: Integration) -> None:
    """Delete the problems of assignees that named nobody, since there are new ones."""
    lost = (ExternalLink.integration_id == integration.id, ExternalLink.kind == ASSIGNEE)
    await work.session.execute(delete_rows(ExternalLink).where(*lost))


async def disconnect(work: Work, integration_id: UUID, if_version: int | None = None) -> UUID:
    """Delete an integration and its credentials. Imported tasks stay, and are matched again if the
    same repository is connected to the project later.
    """
    integration = await work.deletable(Integration, integration_id)
    work.check_version(integration, if_version, fields=[], ref="integration")
    await _record(work, EventKind.INTEGRATION_DELETED, integration)
    await work.session.flush()
    await _delete(work, Integration.id == integration.id)
    return integration_id


async def sync(work: Work, integration_id: UUID) -> Integration:
    """Synchronize now; also retries a failed integration and its problems."""
    integration = await work.editable(Integration, integration_id)
    if integration.status is IntegrationStatus.PAUSED:
        raise BadInput("The integration is paused; resume it with isPaused: false.", path=("id",))
    await demand_live_key(work, integration.api_key_id, ("id",))
    await set_status(work, integration, IntegrationStatus.ACTIVE, integration.last_error)
    await _retry_problems(work, integration.id)
    await enqueue_sync(work, integration.id)
    return integration


async def identify(
    work: Work, integration: Integration, external_id: str, repository: str
) -> str | None:
    """Store GitHub's ID and current name of a locked integration's repository. Returns why it
    cannot be connected if another integration of the project has the same repository, else None.
    """
    others = select(Integration.id).where(
        Integration.project_id == integration.project_id, Integration.id != integration.id
    )
    if await work.session.scalar(others.where(Integration.external_id == external_id)):
        return "This repository is already connected to this project."
    integration.external_id = external_id
    if repository.lower() != integration.settings["repository"].lower():
        settings = {**integration.settings, "repository": repository}
        target = target_of(integration.connector, settings)
        values: dict[str, Any] = {"settings": settings}
        # Another integration can have the new name already; it is removed when it is identified.
        if not await work.session.scalar(others.where(Integration.target == target)):
            values["target"] = target
        changes = work.apply(integration, values, ignore=("target",))
        await _record(work, EventKind.INTEGRATION_UPDATED, integration, changes)
    await work.session.flush()
    return None


async def set_status(
    work: Work, integration: Integration, status: IntegrationStatus, error: str | None
) -> None:
    """Set the status and the last error of a locked integration."""
    integration.last_error = error
    changes = work.apply(integration, {"status": status})
    if changes:
        await _record(work, EventKind.INTEGRATION_UPDATED, integration, changes)
    await work.session.flush()


async def fail(work: Work, integration: Integration, reason: str) -> None:
    """Stop a locked integration that cannot work as it is, and notify its owner."""
    if integration.status is not IntegrationStatus.ACTIVE:
        return
    await set_status(work, integration, IntegrationStatus.FAILED, reason)
    # It may have stopped because its owner lost access to the project.
    owner = Viewer(user_id=integration.user_id)
    name = await work.session.scalar(
        select(Project.name).where(
            Project.id == integration.project_id, access.read(owner, Project, trashed=None)
        )
    )
    project = "a project" if name is None else f"“{name[:_NAME]}”"
    message = f"Your integration of {project} with {_title_of(integration)} has stopped. {reason}"
    kind = NotificationKind.INTEGRATION_FAILED
    notice = Notice(integration.user_id, kind, subject=integration, message=message)
    await notify(work, [notice])


async def enqueue_send(
    work: Work, integration_id: UUID, key: str, *, event_id: UUID | None, task_id: UUID | None
) -> None:
    """Queue sending an event, or the current state of a task, to the other service. Does nothing
    while a job with the same key waits.
    """
    payload = {"integration": integration_id, "event": event_id, "task": task_id}
    await work.enqueue(SEND_JOB, payload, key=f"{SEND_JOB}:{integration_id}:{key}")


async def enqueue_sync(work: Work, integration_id: UUID, **options: Any) -> None:
    """Queue the next synchronization; a waiting one moves to the earlier time."""
    key = f"{SYNC_JOB}:{integration_id}"
    await work.enqueue(SYNC_JOB, {"integration": integration_id}, key=key, **options)


async def _retry_problems(work: Work, integration_id: UUID) -> None:
    await work.session.execute(
        update(ExternalLink)
        .where(
            ExternalLink.integration_id == integration_id,
            ExternalLink.problem.is_not(None),
            ExternalLink.kind != ASSIGNEE,
        )
        .values(retry_at=work.now)
    )


async def delete_all(work: Work, user_id: UUID) -> None:
    """Delete all integrations of a user whose account is deleted."""
    await _delete(work, Integration.user_id == user_id)


async def _delete(work: Work, which: ColumnElement[bool]) -> None:
    # A run that is under way has it locked, and may note a problem.
    locked = select(Integration.id).where(which).order_by(Integration.id).with_for_update()
    ids = (await work.session.scalars(locked)).all()
    # Everyone who sees a task sees its problem. There are few, unlike links without one, which stay
    # as they are.
    await work.session.execute(
        update(ExternalLink)
        .where(ExternalLink.integration_id.in_(ids), ExternalLink.problem.is_not(None))
        .values(integration_id=None)
        .execution_options(synchronize_session=False)
    )
    await work.session.execute(delete_rows(Integration).where(which))


async def reencrypt(work: Work, encryption: Encryption) -> int:
    """Encrypt all credentials again with the first key. Returns the number of integrations."""
    rows = list(await work.session.scalars(select(Integration).with_for_update()))
    for integration in rows:
        integration.credentials = encryption.reencrypt(integration.credentials)
    return len(rows)


def _target_of(integration: Integration) -> str | None:
    return target_of(integration.connector, integration.settings)


def _title_of(integration: Integration) -> str:
    return _TITLES[integration.connector]


async def _record(
    work: Work, kind: EventKind, integration: Integration, changes: Sequence[Any] = ()
) -> None:
    work.record(kind, integration, changes, audience=[integration.user_id])
    switched = kind is EventKind.INTEGRATION_CREATED or any(
        change[0] == "status" for change in changes
    )
    if switched and integration.status is IntegrationStatus.ACTIVE:
        integration.since_position = await work.write_events()
