"""Projects and their members."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, bindparam, false, func, select, text, update

import texts
from auth import access
from auth.viewer import Viewer, placeholder_viewer
from db.models import Project, ProjectMember, Role, Task, User
from db.statements import Statement
from domain import locks, rights_change, rules, trash
from domain.tasks import assignments
from domain.tasks.task_values import record_restored
from domain.work import Work, archived
from errors import AlreadyExists, BadInput, Forbidden, NotFound, Problems, check, has_problems
from events.kinds import EventKind

_KEY = re.compile(r"[A-Z][A-Z0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class NewProject:
    """The fields of a new project; without `key`, it is derived from the name."""

    name: str
    description: str | None = None
    key: str | None = None
    color: str | None = None
    id: UUID | None = None


@check("")
def _checked_key(given: str | None, path: rules.Path) -> str:
    key = rules.not_null(given, path)
    if not _KEY.fullmatch(key):
        raise BadInput(
            "key must be 2 to 10 capital letters or digits, starting with a letter.", path=path
        )
    return key


def _a_day(value: dt.date | None, path: rules.Path) -> dt.date | None:
    if value is not None:
        rules.end_of_day(value, "UTC", path)
    return value


# How each field is checked.
RULES: Mapping[str, rules.Rule] = {
    "name": partial(rules.text, least=1, most=200),
    "description": partial(rules.optional_text, most=5_000, multiline=True),
    "key": _checked_key,
    "color": rules.color,
    "time_locked_before": _a_day,
    "is_overlap_allowed": rules.not_null,
}
# What an update may name.
CHANGEABLE = frozenset(RULES)

rules.demand_all_used(NewProject, RULES, ("id",))


async def create(work: Work, new: NewProject) -> Project:
    """Create a project; the viewer becomes its owner."""
    user_id = work.viewer.require()
    given = rules.given_by(new, RULES)
    if new.key is None:
        del given["key"]
    values = await _checked(work, given)
    if "key" not in values:
        values["key"] = await _free_key(work, values["name"])
    await work.demand_free(Project, new.id)
    project = Project(
        id=new.id or work.new_id(),
        **values,
        owner_id=user_id,
        created_at=work.now,
        updated_at=work.now,
    )
    work.session.add(project)
    await work.session.flush()
    _add_member(work, project.id, user_id, Role.OWNER)
    work.record(EventKind.PROJECT_CREATED, project, project_id=project.id, audience=[user_id])
    await work.session.flush()
    return project


async def update_project(
    work: Work, project_id: UUID, changes: Mapping[str, Any], if_version: int | None
) -> Project:
    """Change name, description, key, color, or the settings of time entries."""
    values = await _checked(work, changes, but=project_id)
    project = await work.editable(Project, project_id)
    changed = work.apply(project, values, if_version=if_version, ref="project")
    if changed:
        work.record(EventKind.PROJECT_UPDATED, project, changed, project_id=project.id)
    return project


async def set_archived(
    work: Work, project_id: UUID, archived: bool, if_version: int | None
) -> Project:
    """Make a project read-only, or editable again."""
    project = await work.permitted(Project, project_id, access.archive, "change")
    wanted = (project.archived_at or work.now) if archived else None
    changed = work.apply(project, {"archived_at": wanted}, if_version=if_version, ref="project")
    if changed:
        kind = EventKind.PROJECT_ARCHIVED if archived else EventKind.PROJECT_UNARCHIVED
        work.record(kind, project, changed, project_id=project.id)
    return project


async def delete(work: Work, project_id: UUID, if_version: int | None) -> Project:
    """Move a project and its tasks to the trash for 30 days."""
    project = await work.deletable(Project, project_id)
    work.check_version(project, if_version, fields=[], ref="project")
    changed = work.apply(project, {"deleted_at": work.now})
    seen = await rights_change.seen_in_project(work, project.id)
    went = await work.session.scalars(
        update(Task)
        .where(Task.project_id == project.id, Task.deleted_at.is_(None))
        .values(deleted_at=work.now, deleted_with=project.id)
        .returning(Task.id)
        .execution_options(synchronize_session=False)
    )
    work.record(EventKind.PROJECT_DELETED, project, changed, project_id=project.id)
    rights_change.record_deleted(
        work, [(task, project.id, seen.get(task, ())) for task in sorted(went)]
    )
    return project


async def close(work: Work, project_id: UUID) -> None:
    """Move a project of a deleted account, which has no other members, to the trash without its
    tasks, which follow (`domain.accounts.erasure`).
    """
    project = await work.session.get_one(Project, project_id, with_for_update=True)
    changed = work.apply(project, {"deleted_at": work.now})
    work.record(EventKind.PROJECT_DELETED, project, changed, project_id=project.id)


async def restore(work: Work, project_id: UUID) -> Project:
    """Restore a project from the trash, with the tasks that were deleted with it."""
    project = await work.session.scalar(
        select(Project)
        .where(Project.id == project_id, access.delete(work.viewer, Project, trashed=True))
        .with_for_update()
    )
    if project is None or trash.is_over(work, project.deleted_at):
        raise NotFound("project in the trash", path=("id",))
    deleted_at = project.deleted_at
    changed = work.apply(project, {"deleted_at": None})
    tasks = await work.session.scalars(
        update(Task)
        .where(Task.project_id == project.id, Task.deleted_with == project.id)
        .values(deleted_at=None, deleted_with=None)
        .returning(Task.id)
        .execution_options(synchronize_session=False)
    )
    work.record(EventKind.PROJECT_RESTORED, project, changed, project_id=project.id)
    record_restored(work, sorted(tasks), project.id, deleted_at)
    return project


async def add_member(work: Work, project_id: UUID, user_id: UUID, role: Role) -> ProjectMember:
    """Add a member."""
    _demand_grantable(role)
    project = await work.shareable(Project, project_id, path=("project_id",))
    user = await work.readable(User, user_id, path=("user_id",))
    if not user.is_active:
        raise BadInput("This account is deactivated. Choose an active user.", path=("user_id",))
    existing = await _membership(work, project.id, user.id)
    if existing is not None:
        raise AlreadyExists(
            f"{user.username} is already a member, with the role {existing.role.name}.",
            path=("user_id",),
        )
    member = _add_member(work, project.id, user.id, role)
    _membership_changed(work, project)
    work.record(
        EventKind.PROJECT_MEMBER_ADDED,
        member,
        [("user", None, user.id), ("role", None, role)],
        project_id=project.id,
        audience=[user.id],
    )
    await work.session.flush()
    return member


async def update_member(
    work: Work, member_id: UUID, role: Role, if_version: int | None
) -> ProjectMember:
    """Change a member's role."""
    project = await _lock_project_of(work, member_id)
    member = await work.editable(ProjectMember, member_id)
    _demand_grantable(role)
    if member.role is Role.OWNER:
        raise Forbidden("The owner's role cannot be changed; use projectTransfer.", path=("role",))
    changed = work.apply(member, {"role": role}, if_version=if_version, ref="member")
    if changed:
        _membership_changed(work, project)
        work.record(
            EventKind.PROJECT_MEMBER_UPDATED,
            member,
            changed,
            project_id=member.project_id,
            audience=[member.user_id],
        )
    return member


class Removed(NamedTuple):
    """The project of a former member, and how many tasks were assigned to them."""

    project: Project
    unassigned: int


async def remove_member(work: Work, member_id: UUID, if_version: int | None = None) -> Removed:
    """Remove a member, or leave. The user's assignments in the project end, also in its trash, and
    so do their rights as owner of tasks; they receive `ACCESS_LOST` for the project and for every
    task that they can no longer see.
    """
    project = await _lock_project_of(work, member_id)
    member = await work.readable(ProjectMember, member_id, lock=True)
    if member.user_id != work.viewer.user_id:
        await work.demand(member, access.delete, "remove")
    if member.role is Role.OWNER:
        raise Forbidden("The owner cannot leave the project. Transfer it first.", path=("id",))
    work.check_version(member, if_version, fields=[], ref="member")
    before = await rights_change.seen_in_project(work, project.id, member.user_id)
    await _end_membership(work, project, member)
    await work.session.flush()
    unassigned = await assignments.end(work, member.user_id, Task.project_id == project.id)
    work.record(EventKind.ACCESS_LOST, project, project_id=project.id, audience=[member.user_id])
    await work.session.flush()
    after = await rights_change.seen_in_project(work, project.id, member.user_id)
    rights_change.record_lost(
        work, [(task, project.id, people) for task, people in before.items() if task not in after]
    )
    return Removed(project, unassigned)


async def leave_for_good(work: Work, member_id: UUID) -> None:
    """End a membership of a deleted account, whose assignments end apart
    (`domain.accounts.erasure`). The project is locked.
    """
    member = await work.session.get_one(ProjectMember, member_id)
    await _end_membership(work, await work.session.get_one(Project, member.project_id), member)


async def _end_membership(work: Work, project: Project, member: ProjectMember) -> None:
    await work.session.delete(member)
    _membership_changed(work, project)
    work.record(
        EventKind.PROJECT_MEMBER_REMOVED,
        member,
        [("user", member.user_id, None), ("role", member.role, None)],
        project_id=member.project_id,
    )


async def _lock_project_of(work: Work, member_id: UUID) -> Project:
    """The project of a member whom the viewer can see, locked before its members."""
    seen = await work.readable(ProjectMember, member_id)
    await locks.lock_projects(work, [seen.project_id], alone=True)
    return await work.readable(Project, seen.project_id)


def _membership_changed(work: Work, project: Project) -> None:
    """Lets a concurrent single-statement creation (`domain.tasks.task_creation`) notice the
    change.
    """
    project.updated_at = work.now


async def transfer(work: Work, project_id: UUID, user_id: UUID, if_version: int | None) -> Project:
    """Make another member the owner; the previous owner becomes an admin."""
    project = await work.permitted(Project, project_id, access.delete, "transfer")
    heir = await _membership(work, project.id, user_id)
    if heir is None:
        raise BadInput(
            "The new owner must be a member of the project. Add them first.", path=("user_id",)
        )
    if heir.role is Role.OWNER:
        raise BadInput("This member is already the owner.", path=("user_id",))
    user = await work.session.get_one(User, user_id)
    if not user.is_active:
        raise BadInput("This account is deactivated. Choose an active user.", path=("user_id",))
    owner = await _membership(work, project.id, project.owner_id)
    assert owner is not None, "a project has exactly one owner"
    work.check_version(project, if_version, fields=["user_id"], ref="project")
    changed = work.apply(project, {"owner_id": user_id})
    # The unique index allows one owner at a time, so the previous one is demoted first.
    work.apply(owner, {"role": Role.ADMIN})
    await work.session.flush()
    work.apply(heir, {"role": Role.OWNER})
    _membership_changed(work, project)
    work.record(
        EventKind.PROJECT_TRANSFERRED,
        project,
        [("owner", old, new) for _, old, new in changed],
        project_id=project.id,
    )
    return project


def demand_open(project: Any, path: rules.Path = ("id",)) -> None:
    """Raise `PROJECT_ARCHIVED` if the project is read-only."""
    if project.archived_at is not None:
        raise archived(path)


async def demand_editor(work: Work, project_id: UUID, path: rules.Path) -> None:
    """Raise unless the viewer may create and edit tasks in this project, which stays as it is until
    the commit.
    """
    await locks.lock_projects(work, [project_id])
    rows = await work.fetch(
        _editing(placeholder_viewer(work.viewer.shape)), {"project_id": project_id}
    )
    if not rows:
        raise NotFound("project", path=path)
    demand_editing(rows[0], editor=rows[0].editor, path=path)


async def is_member(work: Work, project_id: UUID, user_id: UUID) -> bool:
    """Whether a user is a member of a project."""
    found = await work.session.scalar(
        select(ProjectMember.id).where(
            ProjectMember.project_id == project_id, ProjectMember.user_id == user_id
        )
    )
    return found is not None


async def is_editor(work: Work, project_id: UUID) -> bool:
    """Whether the viewer has at least the role EDITOR in a project that is locked."""
    rows = await work.fetch(
        _editing(placeholder_viewer(work.viewer.shape)), {"project_id": project_id}
    )
    return bool(rows) and rows[0].editor


@lru_cache(maxsize=4)
def _editing(viewer: Viewer) -> Statement:
    role = access.role_in(viewer, Project.id)
    return Statement(
        select(
            Project.archived_at, func.coalesce(role >= Role.EDITOR, false()).label("editor")
        ).where(Project.id == bindparam("project_id", type_=Uuid()), access.read(viewer, Project))
    )


def demand_editing(project: Any, *, editor: bool, path: rules.Path) -> None:
    """Raise if tasks cannot be created in a project; `editor` says whether the viewer is an
    editor.
    """
    if not editor:
        raise Forbidden("You can see this project but cannot create tasks in it.", path=path)
    demand_open(project, path)


@check()
def _demand_grantable(role: Role) -> None:
    if role is Role.OWNER:
        raise BadInput(
            "role must not be OWNER: a project has one owner. Use projectTransfer to change it.",
            path=("role",),
        )


async def _checked(
    work: Work, given: Mapping[str, Any], *, but: UUID | None = None
) -> dict[str, Any]:
    """The given fields, each cleaned by its rule. A key that another project has is reported
    together with what breaks a rule.
    """
    problems = Problems()
    with problems.collect():
        values = rules.checked(RULES, given)
    if has_problems():
        problems.raise_any()
    if values.get("key"):
        taken_by = select(Project.id).where(Project.key == values["key"])
        if await work.session.scalar(taken_by) not in {None, but}:
            problems.add(rules.taken("project key", ("key",)))
    problems.raise_any()
    return values


async def _free_key(work: Work, name: str) -> str:
    """A key from a name: the initials of several words or the beginning of one, and a number if
    that key is in use.
    """
    ascii_name = texts.normalized(name, "NFKD").encode("ascii", "ignore").decode().upper()
    words = re.findall(r"[A-Z][A-Z0-9]*", ascii_name)
    stem = "".join(word[0] for word in words)[:4] if len(words) > 1 else "".join(words)[:4]
    if len(stem) < 2:
        stem = (stem + "PRJ")[:3]
    # One transaction at a time per stem: two that find the same key free would both use it.
    await work.session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:stem, 2))"), {"stem": stem}
    )
    taken = set(
        await work.session.scalars(
            select(Project.key).where(Project.key.startswith(stem, autoescape=True))
        )
    )
    if stem not in taken:
        return stem
    return next(key for n in range(2, len(taken) + 3) if (key := f"{stem}{n}") not in taken)


async def _membership(work: Work, project_id: UUID, user_id: UUID) -> ProjectMember | None:
    member: ProjectMember | None = await work.session.scalar(
        select(ProjectMember)
        .where(ProjectMember.project_id == project_id, ProjectMember.user_id == user_id)
        .with_for_update()
    )
    return member


def _add_member(work: Work, project_id: UUID, user_id: UUID, role: Role) -> ProjectMember:
    member = ProjectMember(
        id=work.new_id(),
        project_id=project_id,
        user_id=user_id,
        role=role,
        created_at=work.now,
        updated_at=work.now,
    )
    work.session.add(member)
    return member
