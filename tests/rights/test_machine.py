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
# The person who may do most comes first, and is taken most often.
actors = st.sampled_from([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5])
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
        pairs = draw(st.dictionaries(st.tuples(tasks, people), st.booleans(), max_size=4))
        for number, ((task, person), edit) in enumerate(pairs.items(), 1):
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

    # --- choosing ----------------------------------------------------------------------------

    def actor(self, number: int, *things: str) -> str:
        """One of the people, those first who may do most with these things."""
        held = [right for right in self.model.rights() if right.thing in things]
        return sorted(
            self.model.people, key=lambda one: (-sum(r.person == one for r in held), one)
        )[number % len(self.model.people)]

    def person(self, number: int) -> str:
        return pick(sorted(self.model.people), number)

    def task(self, number: int) -> str:
        """Any living task, or (seldom) one in the trash."""
        living = [name for name, _ in self.model.living()]
        dead = [name for name in self.model.tasks if name not in living]
        return pick(living + dead[:1], number)

    def project(self, number: int) -> str:
        return pick(sorted(self.model.projects), number)

    def has_tasks(self) -> bool:
        return bool(self.model.tasks)

    def has_trash(self) -> bool:
        return any(task.trashed_with for task in self.model.tasks.values())

    def has_shares(self) -> bool:
        return bool(self.model.shares)

    def has_projects(self) -> bool:
        return bool(self.model.projects)

    def has_room(self) -> bool:
        return len(self.model.tasks) < MOST_TASKS

    # --- tasks -------------------------------------------------------------------------------

    @precondition(has_room)
    @rule(who=actors, where=numbers, assignee=st.one_of(st.none(), numbers))
    def task_create(self, who: int, where: int, assignee: int | None) -> None:
        places: list[tuple[str | None, str | None]] = [(None, None)]
        places += [(name, None) for name in sorted(self.model.projects)]
        places += [(None, name) for name, _ in self.model.living()]
        project, parent = pick(places, where)
        actor = self.actor(who, *filter(None, (project, parent)))
        person = None if assignee is None else self.person(assignee)
        self.do(actor, "task_create", self.driver.new("t"), project, parent, person)

    @precondition(has_tasks)
    @rule(who=actors, what=numbers, below=numbers)
    def task_reparent(self, who: int, what: int, below: int) -> None:
        name = self.task(what)
        project = self.model.tasks[name].project
        near = [one for one, task in self.model.living() if task.project == project]
        parent = pick([None, *near], below)
        self.do(self.actor(who, name), "task_reparent", name, parent)

    @precondition(has_tasks)
    @rule(who=actors, what=numbers, whom=st.one_of(st.none(), numbers))
    def task_assign(self, who: int, what: int, whom: int | None) -> None:
        name = self.task(what)
        person = None if whom is None else self.person(whom)
        self.do(self.actor(who, name), "task_assign", name, person)

    @precondition(has_tasks)
    @rule(who=actors, what=numbers, where=numbers)
    def task_move(self, who: int, what: int, where: int) -> None:
        name = self.task(what)
        before = self.model.tasks[name].project
        project = pick([*sorted(self.model.projects.keys() - {before}), None], where)
        actor = self.actor(who, *filter(None, (name, before, project)))
        self.do(actor, "task_move", name, project)

    @precondition(has_tasks)
    @rule(who=actors, what=numbers, move_up=st.booleans())
    def task_delete(self, who: int, what: int, move_up: bool) -> None:
        name = self.task(what)
        self.do(self.actor(who, name), "task_delete", name, move_up=move_up)

    @precondition(has_trash)
    @rule(who=actors, what=numbers)
    def task_restore(self, who: int, what: int) -> None:
        trash = [name for name, task in self.model.tasks.items() if task.trashed_with]
        name = pick(trash, what)
        owner = self.model.tasks[name].owner
        people = sorted(self.model.people, key=lambda one: (one != owner, one))
        self.do(pick(people, who), "task_restore", name)

    @precondition(has_tasks)
    @rule(
        who=actors,
        items=st.lists(st.tuples(numbers, st.one_of(st.none(), numbers)), min_size=1, max_size=3),
        rollback=st.booleans(),
    )
    def bulk_assign(self, who: int, items: list[tuple[int, int | None]], rollback: bool) -> None:
        wanted = {
            self.task(what): None if whom is None else self.person(whom) for what, whom in items
        }
        actor = self.actor(who, *wanted)
        self.run(self.driver.bulk(actor, "task_assign", list(wanted.items()), rollback=rollback))

    @precondition(has_tasks)
    @rule(
        who=actors,
        items=st.lists(numbers, min_size=1, max_size=3),
        rollback=st.booleans(),
    )
    def bulk_delete(self, who: int, items: list[int], rollback: bool) -> None:
        wanted = dict.fromkeys(map(self.task, items))
        actor = self.actor(who, *wanted)
        named = [(name,) for name in wanted]
        self.run(self.driver.bulk(actor, "task_delete", named, rollback=rollback))

    # --- shares ------------------------------------------------------------------------------

    @precondition(has_tasks)
    @rule(who=actors, what=numbers, whom=numbers, edit=st.booleans())
    def share_create(self, who: int, what: int, whom: int, edit: bool) -> None:
        name, person = self.task(what), self.person(whom)
        self.do(
            self.actor(who, name),
            "share_create",
            self.driver.new("s"),
            name,
            person,
            edit=edit,
        )

    @precondition(has_shares)
    @rule(who=actors, what=numbers, edit=st.booleans())
    def share_update(self, who: int, what: int, edit: bool) -> None:
        key = pick(sorted(self.model.shares), what)
        self.do(self.actor(who, key), "share_update", key, edit=edit)

    @precondition(has_shares)
    @rule(who=actors, what=numbers)
    def share_delete(self, who: int, what: int) -> None:
        key = pick(sorted(self.model.shares), what)
        self.do(self.actor(who, key), "share_delete", key)

    @precondition(lambda self: any(not share.expired for share in self.model.shares.values()))
    @rule(what=numbers)
    def share_expires(self, what: int) -> None:
        active = [key for key, share in self.model.shares.items() if not share.expired]
        self.run(self.driver.expire(pick(active, what)))

    # --- projects ----------------------------------------------------------------------------

    @precondition(has_projects)
    @rule(who=actors, where=numbers, whom=numbers, role=roles)
    def member_add(self, who: int, where: int, whom: int, role: Role) -> None:
        name, person = self.project(where), self.person(whom)
        self.do(self.actor(who, name), "member_add", name, person, role)

    @precondition(has_projects)
    @rule(who=actors, where=numbers, whom=numbers, role=roles)
    def member_update(self, who: int, where: int, whom: int, role: Role) -> None:
        name = self.project(where)
        person = pick(sorted(self.model.projects[name].members), whom)
        self.do(self.actor(who, name), "member_update", name, person, role)

    @precondition(has_projects)
    @rule(who=actors, where=numbers, whom=numbers, leave=st.booleans())
    def member_remove(self, who: int, where: int, whom: int, leave: bool) -> None:
        name = self.project(where)
        person = pick(sorted(self.model.projects[name].members), whom)
        stays = not leave or person not in self.model.people
        actor = self.actor(who, name) if stays else person
        self.do(actor, "member_remove", name, person)

    @precondition(has_projects)
    @rule(who=actors, where=numbers, whom=numbers)
    def project_transfer(self, who: int, where: int, whom: int) -> None:
        name, person = self.project(where), self.person(whom)
        self.do(self.actor(who, name), "project_transfer", name, person)

    @precondition(has_projects)
    @rule(who=actors, where=numbers)
    def project_archive(self, who: int, where: int) -> None:
        name = self.project(where)
        archived = not self.model.projects[name].archived
        self.do(self.actor(who, name), "project_archive", name, archived)

    @precondition(lambda self: any(p.trashed for p in self.model.projects.values()))
    @rule(who=actors, where=numbers)
    def project_restore(self, who: int, where: int) -> None:
        trash = [name for name, one in self.model.projects.items() if one.trashed]
        name = pick(trash, where)
        owner = self.model.projects[name].owner
        people = sorted(self.model.people, key=lambda one: (one != owner, one))
        self.do(pick(people, who), "project_restore", name)

    # --- what changes no right on tasks ----------------------------------------------------------

    @rule(who=actors, what=numbers, how=st.sampled_from("ceecdur"), where=numbers)
    def work_on(self, who: int, what: int, how: str, where: int) -> None:
        """Comments, time entries, fields of tasks."""
        comments, entries = sorted(self.model.comments), sorted(self.model.entries)
        places: list[tuple[str | None, str | None]] = [
            *((None, name) for name in self.model.tasks),
            *((name, None) for name in self.model.projects),
        ]
        if how == "e" and places and not entries:
            project, task = pick(places, where)
            actor = self.actor(who, *filter(None, (project, task)))
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
            actor = self.actor(who, name)
            if how == "r":
                self.do(actor, "task_rename", name)
            else:
                self.do(actor, "comment_create", self.driver.new("c"), name)

    # --- the end -----------------------------------------------------------------------------

    @rule(
        what=st.sampled_from(["project", "person", "trash"]),
        who=actors,
        which=numbers,
        heir=st.one_of(st.none(), numbers),
    )
    def goes(self, what: str, who: int, which: int, heir: int | None) -> None:
        """A project or a person is deleted, or what is in the trash for good."""
        if what == "project" and self.model.projects:
            name = self.project(which)
            self.do(self.actor(who, name), "project_delete", name)
        elif what == "person" and len(self.model.people) > 4:
            whom = None if heir is None else self.person(heir)
            self.do(self.person(which), "user_delete", whom)
        elif what == "trash":
            self.run(self.driver.purge())


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
    explore(world, loop, password_hash, sequences=200, steps=8, derandomize=True)


@pytest.mark.nightly
def test_everybody_may_do_what_the_contract_says_for_long(
    world: World, loop: asyncio.AbstractEventLoop, password_hash: str
) -> None:
    """Other sequences each time, longer ones, and all lists after each step."""
    explore(world, loop, password_hash, sequences=5_000, steps=16, all_lists=True)
