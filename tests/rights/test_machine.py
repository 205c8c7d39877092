"""Random operations by six people, on the server and on a model of the contract beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.accounts import PASSWORD
from tests.factories import World
from tests.rights.driver import Driver
from tests.rights.model import MAX_LEVELS, PEOPLE, Model, Project, Role, Share, Task

T = TypeVar("T")
MOST_TASKS = 14

numbers = st.integers(0, 59)
perhaps = st.one_of(st.none(), numbers)
pairs = st.tuples(numbers, perhaps)
roles = st.sampled_from([Role.VIEWER, Role.EDITOR, Role.ADMIN])


@st.composite
def stages(draw: Any) -> Model:
    """People with projects, tasks and shares, such as earlier operations could have left them."""
    model = Model()
    people = st.sampled_from(PEOPLE)
    for name in ("P1", "P2", "P3"):
        owner = draw(people)
        others = draw(st.dictionaries(people, roles, max_size=3))
        model.projects[name] = Project({**others, owner: Role.OWNER})
    for number in range(1, min(7, draw(st.integers(0, 10))) + 1):
        name = f"t{number}"
        parents = [one for one in model.tasks if len(model.above(one)) < MAX_LEVELS - 1]
        parent = draw(st.sampled_from([None, *parents]))
        if parent is None:
            project = draw(st.sampled_from(["P1", "P2", "P3", None]))
            owner = draw(people)
        else:
            project = model.tasks[parent].project
            owner = draw(people) if project is not None else model.tasks[parent].owner
        assignee = draw(st.one_of(st.none(), people))
        model.tasks[name] = Task(owner, project, parent, assignee)
    if model.tasks:
        tasks = st.sampled_from(sorted(model.tasks))
        shared = draw(st.dictionaries(st.tuples(tasks, people), st.booleans(), max_size=4))
        for number, ((task, person), edit) in enumerate(shared.items(), 1):
            owner = model.tasks[task].owner
            if person != owner:
                model.shares[f"s{number}"] = Share(task, person, edit, owner)
    return model


class Machine(RuleBasedStateMachine):
    """Rules choose by number among what there is, so that they can always be done."""

    world: ClassVar[World]
    loop: ClassVar[asyncio.AbstractEventLoop]
    password_hash: ClassVar[str]
    all_lists: ClassVar[bool] = False
    driver: Driver
    failed = False

    @property
    def model(self) -> Model:
        return self.driver.model

    def run(self, doing: Awaitable[T]) -> T:
        async def within() -> T:
            return await doing

        try:
            return self.loop.run_until_complete(within())
        except BaseException:
            self.failed = True
            raise

    def do(self, actor: str, operation: str, *names: Any, **options: Any) -> None:
        self.run(self.driver.do(actor, operation, *names, **options))

    @initialize(stage=stages())
    def begin(self, stage: Model) -> None:
        self.driver = Driver(self.world, self.password_hash, stage, all_lists=self.all_lists)
        self.run(self.driver.start())

    def teardown(self) -> None:
        if hasattr(self, "driver"):
            self.run(self.driver.close() if self.failed else self.driver.finish())

    # --- choosing --------------------------------------------------------------------------------

    def actor(self, number: int, *things: str | None) -> str:
        """Somebody who may do something with each of these things, or (seldom) somebody else."""
        able = set(self.model.people)
        rights = self.model.rights()
        for thing in filter(None, things):
            able &= {right.person for right in rights if right.thing == thing}
        others = self.model.people - able
        return pick([*sorted(able), *sorted(others)[number % 5 :][:1]] or self.people(), number)

    def people(self) -> list[str]:
        return sorted(self.model.people)

    def person(self, number: int | None) -> str | None:
        return None if number is None else pick(self.people(), number)

    def task(self, number: int) -> str:
        """Any living task, or (seldom) one in the trash."""
        living = [name for name, _ in self.model.living()]
        dead = [name for name in self.model.tasks if name not in living]
        return pick(living + dead[:1], number)

    def places(self, more: Sequence[str] = ()) -> list[tuple[str | None, str | None]]:
        """Where a task can be made: by itself, in a project, below a living task, or these."""
        tasks = [*(name for name, _ in self.model.living()), *more]
        return [
            (None, None),
            *((name, None) for name in sorted(self.model.projects)),
            *((None, name) for name in tasks),
        ]

    def has_tasks(self) -> bool:
        return bool(self.model.tasks)

    def has_trash(self) -> bool:
        return any(task.trashed_with for task in self.model.tasks.values())

    def has_projects(self) -> bool:
        return bool(self.model.projects)

    def has_room(self) -> bool:
        return len(self.model.tasks) < MOST_TASKS

    # --- tasks -----------------------------------------------------------------------------------

    @precondition(has_room)
    @rule(who=numbers, where=numbers, assignee=perhaps)
    def task_create(self, who: int, where: int, assignee: int | None) -> None:
        project, parent = pick(self.places(), where)
        actor = self.actor(who, project, parent)
        new = self.driver.new("t")
        self.do(actor, "task_create", new, project, parent, self.person(assignee))

    @precondition(has_tasks)
    @rule(who=numbers, what=numbers, below=perhaps)
    def task_reparent(self, who: int, what: int, below: int | None) -> None:
        name = self.task(what)
        project = self.model.tasks[name].project
        near = [
            one
            for one, task in self.model.living()
            if task.project == project and name not in (one, *self.model.above(one))
        ]
        parent = None if below is None or not near else pick(near, below)
        self.do(self.actor(who, name, parent), "task_reparent", name, parent)

    @precondition(has_tasks)
    @rule(who=numbers, what=numbers, whom=perhaps)
    def task_assign(self, who: int, what: int, whom: int | None) -> None:
        name = self.task(what)
        self.do(self.actor(who, name), "task_assign", name, self.person(whom))

    @precondition(has_tasks)
    @rule(who=numbers, what=numbers, where=numbers)
    def task_move(self, who: int, what: int, where: int) -> None:
        name = self.task(what)
        before = self.model.tasks[name].project
        project = pick([*sorted(self.model.projects.keys() - {before}), None], where)
        self.do(self.actor(who, name, project), "task_move", name, project)

    @precondition(has_tasks)
    @rule(who=numbers, what=numbers, move_up=st.booleans())
    def task_delete(self, who: int, what: int, move_up: bool) -> None:
        name = self.task(what)
        self.do(self.actor(who, name), "task_delete", name, move_up=move_up)

    @precondition(has_trash)
    @rule(who=numbers, what=numbers)
    def task_restore(self, who: int, what: int) -> None:
        trash = [name for name, task in self.model.tasks.items() if task.trashed_with]
        name = pick(trash, what)
        able = [one for one in self.people() if self.model.manages_task(one, name)]
        self.do(pick([*able, *self.people()[:1]], who), "task_restore", name)

    @precondition(has_room)
    @rule(who=numbers, items=st.lists(pairs, min_size=1, max_size=3), rollback=st.booleans())
    def bulk_create(self, who: int, items: list[tuple[int, int | None]], rollback: bool) -> None:
        wanted: list[tuple[str, str | None, str | None, str | None]] = []
        for where, assignee in items:
            project, parent = pick(self.places([item[0] for item in wanted]), where)
            wanted.append((self.driver.new("t"), project, parent, self.person(assignee)))
        actor = self.actor(who, *wanted[0][1:3])
        self.run(self.driver.bulk_create(actor, wanted, rollback=rollback))

    @precondition(has_tasks)
    @rule(who=numbers, items=st.lists(pairs, min_size=1, max_size=3), rollback=st.booleans())
    def bulk_assign(self, who: int, items: list[tuple[int, int | None]], rollback: bool) -> None:
        wanted = {self.task(what): self.person(whom) for what, whom in items}
        actor = self.actor(who, next(iter(wanted)))
        self.run(self.driver.bulk(actor, "task_assign", list(wanted.items()), rollback=rollback))

    @precondition(has_tasks)
    @rule(who=numbers, items=st.lists(numbers, min_size=1, max_size=3), rollback=st.booleans())
    def bulk_delete(self, who: int, items: list[int], rollback: bool) -> None:
        wanted = list(dict.fromkeys(map(self.task, items)))
        actor = self.actor(who, wanted[0])
        named = [(name,) for name in wanted]
        self.run(self.driver.bulk(actor, "task_delete", named, rollback=rollback))

    # --- who takes part --------------------------------------------------------------------------

    @precondition(has_tasks)
    @rule(who=numbers, what=numbers, whom=numbers, edit=st.booleans())
    def share_create(self, who: int, what: int, whom: int, edit: bool) -> None:
        name = self.task(what)
        person = pick(self.people(), whom)
        new = self.driver.new("s")
        self.do(self.actor(who, name), "share_create", new, name, person, edit=edit)

    @precondition(lambda self: self.model.shares)
    @rule(
        how=st.sampled_from(["update", "delete", "expire"]),
        who=numbers,
        what=numbers,
        edit=st.booleans(),
    )
    def share_change(self, how: str, who: int, what: int, edit: bool) -> None:
        key = pick(sorted(self.model.shares), what)
        if how == "update":
            self.do(self.actor(who, key), "share_update", key, edit=edit)
        elif how == "delete":
            self.do(self.actor(who, key), "share_delete", key)
        elif not self.model.shares[key].expired:
            self.run(self.driver.expire(key))

    @precondition(has_projects)
    @rule(
        how=st.sampled_from(["remove", "add", "update", "leave", "transfer"]),
        who=numbers,
        where=numbers,
        whom=numbers,
        role=roles,
    )
    def members(self, how: str, who: int, where: int, whom: int, role: Role) -> None:
        name = pick(sorted(self.model.projects), where)
        member = pick(sorted(self.model.projects[name].members), whom)
        actor = self.actor(who, name)
        if how == "add":
            self.do(actor, "member_add", name, pick(self.people(), whom), role)
        elif how == "update":
            self.do(actor, "member_update", name, member, role)
        elif how == "transfer":
            self.do(actor, "project_transfer", name, pick(self.people(), whom))
        else:
            leaves = how == "leave" and member in self.model.people
            self.do(member if leaves else actor, "member_remove", name, member)

    # --- what comes and goes ---------------------------------------------------------------------

    @rule(
        how=st.sampled_from(["archive", "purge", "project", "person"]),
        who=numbers,
        which=numbers,
        heir=perhaps,
    )
    def come_and_go(self, how: str, who: int, which: int, heir: int | None) -> None:
        if how == "purge":
            self.run(self.driver.purge())
        elif how == "person":
            if len(self.model.people) > 4:
                self.do(pick(self.people(), which), "user_delete", self.person(heir))
        elif self.model.projects:
            name = pick(sorted(self.model.projects), which)
            project = self.model.projects[name]
            if how == "archive":
                self.do(self.actor(who, name), "project_archive", name, not project.archived)
            elif project.trashed:
                able = sorted(project.members.keys() & self.model.people) or self.people()
                self.do(pick(able, who), "project_restore", name)
            else:
                self.do(self.actor(who, name), "project_delete", name)

    @rule(who=numbers, what=numbers, how=st.sampled_from("ceecdur"), where=numbers)
    def work_on(self, who: int, what: int, how: str, where: int) -> None:
        """Comments, time entries, fields of tasks: what changes no right on a task."""
        comments, entries = sorted(self.model.comments), sorted(self.model.entries)
        places = self.places()[1:]
        if how == "e" and places and not entries:
            project, task = pick(places, where)
            actor = self.actor(who, project, task)
            self.do(actor, "entry_create", self.driver.new("e"), project, task)
        elif how == "e" and entries:
            key = pick(entries, what)
            self.do(self.actor(who, key), "entry_delete", key)
        elif how in "du" and comments:
            key = pick(comments, what)
            operation = "comment_delete" if how == "d" else "comment_update"
            self.do(self.actor(who, key), operation, key)
        elif self.model.tasks:
            name = self.task(what)
            if how == "r":
                self.do(self.actor(who, name), "task_rename", name)
            else:
                self.do(self.actor(who, name), "comment_create", self.driver.new("c"), name)


def pick(things: Sequence[T], number: int) -> T:
    """One of them."""
    return things[number % len(things)]


@pytest.fixture(scope="session")
async def loop() -> asyncio.AbstractEventLoop:
    """The loop that everything runs in. The tests are not coroutines; they run it themselves."""
    return asyncio.get_running_loop()


@pytest.fixture(scope="session")
async def password_hash(world: World) -> str:
    """Of the password that all have."""
    return (await world.services.authenticator.passwords.hash(PASSWORD)).text


def explore(
    world: World,
    loop: asyncio.AbstractEventLoop,
    password_hash: str,
    *,
    sequences: int,
    steps: int,
    **options: Any,
) -> None:
    """Run so many sequences of at most so many operations; fail with the shortest that shows it."""
    own = {"world": world, "loop": loop, "password_hash": password_hash}
    run_state_machine_as_test(
        type("Bound", (Machine,), own | {"all_lists": options.pop("all_lists", False)}),
        settings=settings(
            max_examples=sequences,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            **options,
        ),
    )


def test_everybody_may_do_what_the_contract_says(
    world: World, loop: asyncio.AbstractEventLoop, password_hash: str
) -> None:
    """Each step is done by the server and by the model, and everything is compared."""
    explore(world, loop, password_hash, sequences=200, steps=12, derandomize=True)


@pytest.mark.nightly
def test_everybody_may_do_what_the_contract_says_for_long(
    world: World, loop: asyncio.AbstractEventLoop, password_hash: str
) -> None:
    """Other sequences each time, longer ones, and all lists after each step."""
    explore(world, loop, password_hash, sequences=5_000, steps=16, all_lists=True)
