"""The users and the fixtures of the access matrix.

One cast of users serves the whole run, and one set of fixtures (a project, a task in it, and what
belongs to them) until a case changes something in it. Then a new set is created, so that one case
does not affect the next.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from enum import Enum

import orjson
from sqlalchemy import delete, select, update

from db import models
from db.models import Permission, Role
from domain.accounts import api_key as api_keys
from domain.integrations import integration as integrations
from domain.integrations import webhook as webhooks
from domain.projects import project as projects
from domain.projects.project import NewProject
from domain.tasks import task as tasks
from domain.tasks.task import NewTask
from events.kinds import EventKind
from tests.accounts import Person
from tests.factories import World, fresh_id, gid, missing, new_key

SHARED_KEY = "A key in the fixtures"


class AccessRole(Enum):
    """The relation of a user to the project, or to the task in it."""

    OWNER = "owner of the project and the task"
    ADMIN = "admin of the project"
    EDITOR = "editor of the project"
    VIEWER = "viewer of the project"
    ASSIGNEE = "assignee of the task, outside of the project"
    SHARED_EDIT = "the task is shared with them, to edit"
    SHARED_VIEW = "the task is shared with them, to see"
    FORMER_SHARE = "the task was shared with them until yesterday"
    STRANGER = "signed in, and nothing else"
    ADMINISTRATOR = "administrator of the server, without access to the project"
    SIGNED_OUT = "sends no credentials"
    DEACTIVATED = "an editor of the project whose account was deactivated"


@dataclass(slots=True)
class Fixtures:
    """The names of the fixtures; `ids`: global ids and other texts that address objects."""

    ids: dict[str, str]

    def __getattr__(self, name: str) -> str:
        try:
            return self.ids[name]
        except KeyError:
            raise AttributeError(name) from None


class Cast:
    """The users, and the creation of fixtures for them."""

    def __init__(self, world: World, people: dict[AccessRole, Person], target: Person) -> None:
        self.world = world
        self.people = people
        # A bystander, for operations on other users.
        self.target = target
        self._fixtures: Fixtures | None = None

    def of(self, role: AccessRole) -> Person | None:
        """The user in this role; None for nobody."""
        return self.people.get(role)

    @classmethod
    async def gather(cls, world: World) -> Cast:
        """Register all users, and deactivate one."""
        people: dict[AccessRole, Person] = {
            role: await world.person()
            for role in AccessRole
            if role not in {AccessRole.SIGNED_OUT, AccessRole.ADMINISTRATOR}
        }
        people[AccessRole.ADMINISTRATOR] = await world.house.admin()
        shut_out = people[AccessRole.DEACTIVATED]
        async with world.database.session() as session, session.begin():
            users = update(models.User).where(models.User.id == shut_out.id)
            await session.execute(users.values(is_active=False))
        world.services.authenticator.forget(user_id=shut_out.id)
        return cls(world, people, await world.person())

    async def fixtures(self) -> Fixtures:
        """The fixtures, before a case has changed them."""
        if self._fixtures is None:
            self._fixtures = await self._build()
        return self._fixtures

    def clear(self) -> None:
        """Discard the fixtures after a change: the next case gets new ones."""
        self._fixtures = None

    async def _build(self) -> Fixtures:
        """A project of the owner with all users in their roles.

        `task` is assigned, shared (`share` is the one with VIEW) and commented on by the editor;
        `entry` is the editor's time on it; `trashed_task` and `trashed_project` are in the trash;
        `done_task` is completed; `archived` is a read-only project with the same members, and
        `subtask` is below `task`.
        """
        owner = self.people[AccessRole.OWNER]
        now = dt.datetime.now(dt.UTC)
        world = self.world
        before = (await world.post("{ eventCursor }", owner)).good["eventCursor"]
        async with world.services.transactions.begin(
            owner.viewer, now=now, request=world.request()
        ) as work:
            made = []
            for name in ("Stage", "Archived", "Trashed"):
                project = await projects.create(work, NewProject(name=name, key=new_key()))
                made.append(project)
                for person, role in (
                    (AccessRole.ADMIN, Role.ADMIN),
                    (AccessRole.EDITOR, Role.EDITOR),
                    (AccessRole.DEACTIVATED, Role.EDITOR),
                    (AccessRole.VIEWER, Role.VIEWER),
                ):
                    work.session.add(
                        models.ProjectMember(
                            id=work.new_id(),
                            project_id=project.id,
                            user_id=self.people[person].id,
                            role=role,
                            created_at=now,
                            updated_at=now,
                        )
                    )
            project, archived, trashed = made
            word = f"secret{fresh_id().hex}"
            assignee = self.people[AccessRole.ASSIGNEE].id

            async def task(**values: object) -> models.Task:
                new = {"title": f"The {word}", "project_id": project.id, "assignee_id": assignee}
                return await tasks.create(work, NewTask(**(new | values)))  # type: ignore[arg-type]

            the_task = await task(tags=[word])
            subtask = await task(parent_id=the_task.id, assignee_id=None)
            done = await task(status=models.TaskStatus.COMPLETED)
            gone = await task()
            shares = {one.id: self._shares(one, now) for one in (the_task, done, gone)}
            for some in shares.values():
                work.session.add_all(some)
            await work.session.flush()
            comment = models.Comment(
                id=work.new_id(),
                task_id=the_task.id,
                author_id=self.people[AccessRole.EDITOR].id,
                body=f"Said {word}",
                created_at=now,
                updated_at=now,
                version=1,
            )
            work.session.add(comment)
            await work.session.flush()
            revision = models.CommentRevision(
                id=work.new_id(),
                comment_id=comment.id,
                body="Said before",
                written_at=now,
                replaced_at=now,
            )
            work.session.add(revision)
            sent = [
                models.StoredFile(
                    id=work.new_id(),
                    uploader_id=owner.id,
                    created_at=now,
                    expires_at=now + dt.timedelta(hours=1),
                    task_id=the_task.id,
                    filename="plan.txt",
                    size=5,
                    stored_at=now,
                    content_type="text/plain",
                    sha256="0" * 64,
                    has_thumbnail=False,
                )
                for _ in range(2)
            ]
            work.session.add_all(sent)
            await work.session.flush()
            attachment = models.Attachment(
                id=work.new_id(),
                task_id=the_task.id,
                uploader_id=owner.id,
                file_id=sent[0].id,
                filename="plan.txt",
                content_type="text/plain",
                size=5,
                sha256="0" * 64,
                has_thumbnail=False,
                created_at=now,
            )
            work.session.add(attachment)
            entry = models.TimeEntry(
                id=work.new_id(),
                user_id=self.people[AccessRole.EDITOR].id,
                project_id=project.id,
                task_id=the_task.id,
                description=f"Spent on {word}",
                started_at=now - dt.timedelta(hours=2),
                ended_at=now - dt.timedelta(hours=1),
                created_at=now,
                updated_at=now,
                version=1,
            )
            work.session.add(entry)
            export = models.ReportExport(
                id=work.new_id(),
                user_id=owner.id,
                group_by=[],
                timezone="UTC",
                format=models.ExportFormat.CSV,
                # A user may have only a few unfinished ones.
                status=models.ExportState.FAILED,
                created_at=now,
                updated_at=now,
                version=1,
            )
            work.session.add(export)
            work.record(EventKind.REPORT_EXPORT_UPDATED, export, audience=[owner.id])
            await tasks.delete(work, gone.id, None)
            await projects.delete(work, trashed.id, None)
            resting = await task(project_id=archived.id)
            archived.archived_at = now
            project.name = f"Project {word}"
            project.description = f"About {word}"
            told = models.Notification(
                id=work.new_id(),
                recipient_id=owner.id,
                kind=models.NotificationKind.COMMENT_ON_MY_TASK,
                actor_id=self.people[AccessRole.EDITOR].id,
                task_id=the_task.id,
                comment_id=comment.id,
                created_at=now,
                in_app=True,
                email=False,
            )
            device = models.Device(
                id=work.new_id(),
                user_id=owner.id,
                token=f"token-{word}",
                name=f"Device {word}",
                platform=models.Platform.WEB.value,
                created_at=now,
                seen_at=now,
            )
            job = models.Job(
                id=work.new_id(),
                name="nothing.at.all",
                payload={},
                state=models.JobState.FAILED,
                reason="There is nobody to do it.",
                attempts=3,
                created_at=now,
                due_at=now,
                finished_at=now,
            )
            reminder = models.Reminder(
                id=work.new_id(),
                user_id=owner.id,
                task_id=the_task.id,
                kind=models.RuleKind.DAILY,
                rule={"time": "09:00", "timezone": "UTC"},
                channels=[models.ReminderChannel.IN_APP.value],
                is_enabled=True,
                created_at=now,
                updated_at=now,
                version=1,
            )
            # The limit is fifty, and there is one for each set of fixtures.
            await webhooks.delete_all(work, owner.id)
            await integrations.delete_all(work, owner.id)
            integration = models.Integration(
                id=work.new_id(),
                created_at=now,
                updated_at=now,
                version=1,
                user_id=owner.id,
                project_id=project.id,
                connector=models.Connector.SLACK,
                settings={"events": ["TASK_CREATED"]},
                credentials=b"sealed",
                status=models.IntegrationStatus.ACTIVE,
                progress={},
            )
            work.session.add_all((told, device, job, reminder, integration))
            webhook = models.Webhook(
                id=work.new_id(),
                user_id=owner.id,
                name="example.com",
                url="https://example.com/",
                status=models.WebhookStatus.ACTIVE,
                secret=b"",
                created_at=now,
                updated_at=now,
                version=1,
            )
            work.session.add(webhook)
            delivery = models.WebhookDelivery(
                id=work.new_id(),
                webhook=webhook,
                event_id=work.new_id(),
                is_test=False,
                state=models.DeliveryState.FAILED,
                created_at=now,
            )
            work.session.add(delivery)
            attempt = models.WebhookAttempt(
                id=work.new_id(), delivery=delivery, number=1, attempted_at=now
            )
            work.session.add(attempt)
            session = models.Session(
                id=work.new_id(),
                user_id=owner.id,
                created_at=now,
                updated_at=now,
                last_used_at=now,
                expires_at=now + dt.timedelta(days=1),
            )
            work.session.add(session)
            # The limit is fifty per user, and there are more sets of fixtures.
            former = delete(models.ApiKey).where(models.ApiKey.name == SHARED_KEY)
            await work.session.execute(former.where(models.ApiKey.user_id == owner.id))
            api_key = await api_keys.create(work, name=SHARED_KEY, scopes=["read"])
            members = select(models.ProjectMember.user_id, models.ProjectMember.id)
            rows = await work.session.execute(
                members.where(models.ProjectMember.project_id == project.id)
            )
            by_user = {row.user_id: row.id for row in rows}
        member = by_user[self.people[AccessRole.VIEWER].id]
        names = {
            # The position of the event log before all of this.
            "before": before,
            "notification": gid(told),
            "device": gid(device),
            "reminder": gid(reminder),
            "webhook": gid(webhook),
            "delivery": gid(delivery),
            "attempt": gid(attempt),
            "yesterday": (now - dt.timedelta(days=1)).isoformat(),
            "today": now.isoformat(),
            "job": gid(job),
            "integration": gid(integration),
            "project": gid(project),
            "project_key": project.key,
            "archived": gid(archived),
            "trashed_project": gid(trashed),
            "task": gid(the_task),
            "task_key": f"{project.key}-{the_task.number}",
            "subtask": gid(subtask),
            "done_task": gid(done),
            "trashed_task": gid(gone),
            "member": f"member_{member.hex}",
            "archived_task": gid(resting),
            "session": gid(session),
            "api_key": gid(api_key.row),
            "share": gid(shares[the_task.id][1]),
            "comment": gid(comment),
            "revision": gid(revision),
            "entry": gid(entry),
            "export": gid(export),
            "attachment": gid(attachment),
            "upload": gid(sent[1]),
            "target": gid(self.target),
            "target_name": self.target.username,
            "editor": gid(self.people[AccessRole.EDITOR]),
            "owner": gid(owner),
            "word": word,
        }
        return Fixtures(names)

    def _shares(self, task: models.Task, now: dt.datetime) -> list[models.TaskShare]:
        yesterday = now - dt.timedelta(days=1)
        return [
            models.TaskShare(
                id=fresh_id(),
                created_at=now,
                updated_at=now,
                version=1,
                task_id=task.id,
                user_id=self.people[role].id,
                permission=permission,
                shared_by_id=task.owner_id,
                expires_at=expires_at,
            )
            for role, permission, expires_at in (
                (AccessRole.SHARED_EDIT, Permission.EDIT, None),
                (AccessRole.SHARED_VIEW, Permission.VIEW, None),
                (AccessRole.FORMER_SHARE, Permission.EDIT, yesterday),
            )
        ]


def absent(address: str) -> str:
    """An address of the same form that belongs to no object."""
    if re.fullmatch(r"[a-z_]+_[0-9a-f]{32}", address):
        return missing(address)
    if re.fullmatch(r"[A-Z0-9]+-\d+", address):
        return f"{new_key()}-1"
    if re.fullmatch(r"[A-Z0-9]+", address):
        return new_key()
    return f"nothing{fresh_id().hex}"


def anonymous(body: bytes, *addresses: str) -> bytes:
    """A body without the parts that always differ: the request's id, the remaining budget, and the
    requested address.
    """
    parsed = orjson.loads(body)
    for name in ("requestId", "cost"):
        parsed.get("extensions", {}).pop(name, None)
    text = orjson.dumps(parsed)
    for address in addresses:
        text = text.replace(address.encode(), b"...")
    return text
