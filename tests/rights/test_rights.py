"""Random operations by six users, on the server and on a model of the contract beside it.

The sequences are seeded, and one that fails is shrunk. Hypothesis does not generate them, since it
repeats itself: in 200 sequences of its state machine, none tried to grant a right by nesting tasks;
in these 200, ten do.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from random import Random
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio

from settings import Settings
from tests.accounts import PASSWORD
from tests.factories import World
from tests.rights.driver import DisagreementError, Driver
from tests.rights.model import Model
from tests.rights.rules import MAX_LEVELS, PEOPLE, Project, Right, Role, Share, Task

T = TypeVar("T")
MOST_TASKS = 14
GIVEN_ROLES = (Role.VIEWER, Role.EDITOR, Role.EDITOR, Role.ADMIN)


def pick(things: Sequence[T], number: int) -> T:
    """One of them."""
    return things[number % len(things)]


# --- the initial state ---------------------------------------------------------------------------


def random_fixtures(random: Random) -> Model:
    """Users with projects, tasks and shares, as earlier operations could have left them.

    Most objects are in one project, so that many of them are related.
    """
    model = Model()
    for name, least, most in (("P1", 2, 4), ("P2", 0, 3), ("P3", 0, 1)):
        roles = [random.choice(GIVEN_ROLES) for _ in range(random.randint(least, most))]
        owner, *others = random.sample(PEOPLE, 1 + len(roles))
        model.projects[name] = Project({owner: Role.OWNER, **dict(zip(others, roles, strict=True))})
    for count in range(1, random.randint(4, 8) + 1):
        parents = [one for one in model.tasks if len(model.above(one)) < MAX_LEVELS - 1]
        parent = random.choice([None, *parents])
        project = random.choice(["P1", "P1", "P1", "P1", "P2", None])
        owner = random.choice(PEOPLE)
        if parent is not None:
            project = model.tasks[parent].project
            owner = owner if project else model.tasks[parent].owner
        if project is not None and random.random() < 0.8:
            # Rarely a user who is no longer a member.
            owner = random.choice(sorted(model.projects[project].members))
        assignee = random.choice([None, *PEOPLE])
        model.tasks[f"t{count}"] = Task(owner, project, parent, assignee)
    for count in range(1, random.randint(0, 5) + 1):
        task, person = random.choice(sorted(model.tasks)), random.choice(PEOPLE)
        shared = {(share.task, share.person) for share in model.shares.values()}
        owner = model.tasks[task].owner
        if not model.owns(person, model.tasks[task]) and (task, person) not in shared:
            model.shares[f"s{count}"] = Share(task, person, random.random() < 0.5, owner)
    return model


def random_steps(random: Random, most: int) -> list[Step]:
    """Operations, each with six numbers that select among the existing objects."""
    return [
        (random.choice(KINDS), [random.randrange(240) for _ in range(6)])
        for _ in range(random.randint(3, most))
    ]


# --- operations ----------------------------------------------------------------------------------

# The kinds of steps, methods of `Player`; those that change relations occur more often.
KINDS = (
    *["reparent"] * 6,
    *["share", "delete", "restore"] * 4,
    *["assign", "move", "create", "change_share"] * 2,
    *("bulk_create", "bulk_assign", "bulk_delete"),
    *("join", "change_role", "remove", "leave", "transfer"),
    *("archive", "delete_project", "delete_person", "purge"),
    *("write", "spend"),
)
Step = tuple[str, list[int]]


class Player:
    """Executes steps: kinds of operations, with six numbers that select existing objects."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    @property
    def model(self) -> Model:
        """The expected state of the server."""
        return self.driver.model

    # --- choosing --------------------------------------------------------------------------------

    def actor(self, number: int, verb: str, *things: str | None) -> str:
        """A user who sees these objects and perhaps may do this with each, or (rarely) another."""
        rights = self.model.rights()
        named = set(filter(None, things))
        able = {
            one: [
                person
                for person in self.people()
                if all(Right(person, one, thing) in rights for thing in named)
            ]
            for one in (verb, "see")
        }
        return pick(able[verb] + able["see"] * 2 + [pick(self.people(), number // 3)], number)

    def people(self) -> list[str]:
        """The remaining users."""
        return sorted(self.model.people)

    def perhaps(self, things: Sequence[T], number: int) -> T | None:
        """The value, or None in one of five cases."""
        return None if number % 5 == 4 or not things else pick(things, number // 5)

    def task(self, number: int) -> str | None:
        """Any task that is not in the trash, or (rarely) one that is."""
        living = [name for name, _ in self.model.living()]
        dead = [name for name in self.model.tasks if name not in living]
        return pick(living + dead[:1], number) if self.model.tasks else None

    def project(self, number: int) -> str | None:
        """Any project, in the trash too."""
        return pick(sorted(self.model.projects), number) if self.model.projects else None

    def places(self, more: Sequence[str] = ()) -> list[tuple[str | None, str | None]]:
        """Where a task can be created: without a project, in a project, below a task, or `more`."""
        tasks = [*(name for name, _ in self.model.living()), *more]
        return [
            (None, None),
            *((name, None) for name in sorted(self.model.projects)),
            *((None, name) for name in tasks),
        ]

    # --- tasks -----------------------------------------------------------------------------------

    async def reparent(self, numbers: list[int]) -> None:
        """A refusal is compared quickly, so a second attempt follows, as in methods below."""
        for who, what, below in (numbers[:3], numbers[3:]):
            name = self.task(what)
            if name is None:
                return
            project = self.model.tasks[name].project
            near = [
                one
                for one, task in self.model.living()
                if task.project == project and name not in (one, *self.model.above(one))
            ]
            parent = self.perhaps(near, below)
            actor = self.actor(who, "edit", name, parent)
            if await self.driver.do(actor, "task_reparent", name, parent):
                return

    async def assign(self, numbers: list[int]) -> None:
        for who, what, whom in (numbers[:3], numbers[3:]):
            name = self.task(what)
            if name is not None:
                actor = self.actor(who, "edit", name)
                person = self.perhaps(self.people(), whom)
                if await self.driver.do(actor, "task_assign", name, person):
                    return

    async def move(self, numbers: list[int]) -> None:
        for who, what, where in (numbers[:3], numbers[3:]):
            name = self.task(what)
            if name is not None:
                others = sorted(self.model.projects.keys() - {self.model.tasks[name].project})
                project = self.perhaps(others, where)
                actor = self.actor(who, "see", name, project)
                if await self.driver.do(actor, "task_move", name, project):
                    return

    async def delete(self, numbers: list[int]) -> None:
        for who, what, how in (numbers[:3], numbers[3:]):
            name = self.task(what)
            if name is not None:
                actor = self.actor(who, "delete", name)
                if await self.driver.do(actor, "task_delete", name, move_up=how % 3 == 1):
                    return

    async def share(self, numbers: list[int]) -> None:
        for who, what, whom in (numbers[:3], numbers[3:]):
            name = self.task(what)
            if name is not None:
                actor, person = self.actor(who, "share", name), pick(self.people(), whom // 2)
                new = self.driver.new("s")
                if await self.driver.do(
                    actor, "share_create", new, name, person, edit=whom % 2 == 1
                ):
                    return

    async def create(self, numbers: list[int]) -> None:
        if len(self.model.tasks) < MOST_TASKS:
            who, where, whom, *_ = numbers
            project, parent = pick(self.places(), where)
            actor = self.actor(who, "edit" if parent else "see", project, parent)
            person = self.perhaps(self.people(), whom)
            await self.driver.do(
                actor, "task_create", self.driver.new("t"), project, parent, person
            )

    async def restore(self, numbers: list[int]) -> None:
        trash = [name for name, task in self.model.tasks.items() if task.trashed_with]
        if trash:
            name = pick(trash, numbers[1])
            able = [one for one in self.people() if self.model.manages_task(one, name)]
            actor = pick([*able, *self.people()[:1]], numbers[0])
            await self.driver.do(actor, "task_restore", name)

    async def bulk_create(self, numbers: list[int]) -> None:
        if len(self.model.tasks) < MOST_TASKS:
            who, *others = numbers
            wanted: list[tuple[str, str | None, str | None, str | None]] = []
            for where, whom in (others[:2], others[2:4]):
                project, parent = pick(self.places([item[0] for item in wanted]), where)
                person = self.perhaps(self.people(), whom)
                wanted.append((self.driver.new("t"), project, parent, person))
            actor = self.actor(who, "see", *wanted[0][1:3])
            await self.driver.bulk_create(actor, wanted, rollback=others[4] % 2 == 1)

    async def bulk_assign(self, numbers: list[int]) -> None:
        who, *others = numbers
        items = {}
        for what, whom in (others[:2], others[2:4]):
            name = self.task(what)
            if name is not None:
                items[name] = self.perhaps(self.people(), whom)
        if items:
            actor = self.actor(who, "edit", next(iter(items)))
            await self.driver.bulk(
                actor, "task_assign", list(items.items()), rollback=others[4] % 2 == 1
            )

    async def bulk_delete(self, numbers: list[int]) -> None:
        who, *others = numbers
        names = [name for name in dict.fromkeys(map(self.task, others[:3])) if name is not None]
        if names:
            actor = self.actor(who, "delete", names[0])
            items = [(name,) for name in names]
            await self.driver.bulk(actor, "task_delete", items, rollback=others[4] % 2 == 1)

    # --- shares and members ----------------------------------------------------------------------

    async def change_share(self, numbers: list[int]) -> None:
        """Change a share, revoke it, or let it expire."""
        who, what, how, *_ = numbers
        if not self.model.shares:
            return
        key = pick(sorted(self.model.shares), what)
        if how % 3 == 0:
            edit = how % 2 == 1
            await self.driver.do(self.actor(who, "edit", key), "share_update", key, edit=edit)
        elif how % 3 == 1:
            await self.driver.do(self.actor(who, "delete", key), "share_delete", key)
        elif not self.model.shares[key].expired:
            await self.driver.expire(key)

    async def join(self, numbers: list[int]) -> None:
        who, where, whom, role, *_ = numbers
        name = self.project(where)
        if name is not None:
            actor, person = self.actor(who, "share", name), pick(self.people(), whom)
            await self.driver.do(actor, "member_add", name, person, pick(GIVEN_ROLES, role))

    async def change_role(self, numbers: list[int]) -> None:
        who, where, whom, role, *_ = numbers
        name = self.project(where)
        if name is not None:
            member = pick(sorted(self.model.projects[name].members), whom)
            actor = self.actor(who, "share", name)
            await self.driver.do(actor, "member_update", name, member, pick(GIVEN_ROLES, role))

    async def remove(self, numbers: list[int]) -> None:
        who, where, whom, *_ = numbers
        name = self.project(where)
        if name is not None:
            member = pick(sorted(self.model.projects[name].members), whom)
            await self.driver.do(self.actor(who, "share", name), "member_remove", name, member)

    async def leave(self, numbers: list[int]) -> None:
        name = self.project(numbers[1])
        if name is not None:
            members = sorted(self.model.projects[name].members.keys() & self.model.people)
            if members:
                member = pick(members, numbers[0])
                await self.driver.do(member, "member_remove", name, member)

    async def transfer(self, numbers: list[int]) -> None:
        who, where, whom, *_ = numbers
        name = self.project(where)
        if name is not None:
            actor, person = self.actor(who, "delete", name), pick(self.people(), whom)
            await self.driver.do(actor, "project_transfer", name, person)

    # --- archive and deletion --------------------------------------------------------------------

    async def archive(self, numbers: list[int]) -> None:
        """Archive a project, or open it again."""
        name = self.project(numbers[1])
        if name is not None:
            archived = not self.model.projects[name].archived
            actor = self.actor(numbers[0], "share", name)
            await self.driver.do(actor, "project_archive", name, archived)

    async def delete_project(self, numbers: list[int]) -> None:
        """Or restore it."""
        who, where, *_ = numbers
        name = self.project(where)
        if name is None:
            return
        if self.model.projects[name].trashed:
            members = sorted(self.model.projects[name].members.keys() & self.model.people)
            await self.driver.do(pick(members or self.people(), who), "project_restore", name)
        else:
            await self.driver.do(self.actor(who, "delete", name), "project_delete", name)

    async def delete_person(self, numbers: list[int]) -> None:
        """Delete the user's own account."""
        who, heir, *_ = numbers
        if len(self.model.people) > 4:
            person = self.perhaps(self.people(), heir)
            await self.driver.do(pick(self.people(), who), "user_delete", person)

    async def purge(self, _: list[int]) -> None:
        await self.driver.purge()

    # --- changes without effect on rights on tasks -----------------------------------------------

    async def write(self, numbers: list[int]) -> None:
        """Write comments, and change the title."""
        who, what, how, which, *_ = numbers
        name, comments = self.task(what), sorted(self.model.comments)
        if how % 4 < 2 and comments:
            key = pick(comments, which)
            operation = "comment_delete" if how % 4 == 0 else "comment_update"
            await self.driver.do(self.actor(who, "delete", key), operation, key)
        elif name is not None and how % 4 == 3:
            await self.driver.do(self.actor(who, "edit", name), "task_rename", name)
        elif name is not None:
            new = self.driver.new("c")
            await self.driver.do(self.actor(who, "see", name), "comment_create", new, name)

    async def spend(self, numbers: list[int]) -> None:
        """Time entries."""
        who, what, how, *_ = numbers
        entries = sorted(self.model.entries)
        if entries and how % 3 == 0:
            key = pick(entries, what)
            await self.driver.do(self.actor(who, "edit", key), "entry_delete", key)
        else:
            project, task = pick(self.places(), what)
            new = self.driver.new("e")
            actor = self.actor(who, "see", project, task)
            await self.driver.do(actor, "entry_create", new, project, task)


# --- the tests -----------------------------------------------------------------------------------


async def play(driver: Driver, sequence: Sequence[Step]) -> None:
    """Run a sequence from start to end."""
    player = Player(driver)
    try:
        await driver.start()
        for kind, numbers in sequence:
            await getattr(player, kind)(numbers)
        await driver.finish()
    finally:
        await driver.close()


def smaller(fixtures: Model, sequence: list[Step]) -> Iterator[tuple[Model, list[Step]]]:
    """The sequences without one step, or without one object of the initial state."""
    for index in reversed(range(len(sequence))):
        yield fixtures, sequence[:index] + sequence[index + 1 :]
    parents = {task.parent for task in fixtures.tasks.values()}
    for name in fixtures.tasks.keys() - parents:
        less = deepcopy(fixtures)
        del less.tasks[name]
        less.shares = {key: one for key, one in less.shares.items() if one.task != name}
        yield less, sequence
    for key in fixtures.shares:
        less = deepcopy(fixtures)
        del less.shares[key]
        yield less, sequence
    for name, project in fixtures.projects.items():
        for person, role in project.members.items():
            if role is not Role.OWNER:
                less = deepcopy(fixtures)
                del less.projects[name].members[person]
                yield less, sequence
    for name, task in fixtures.tasks.items():
        if task.assignee is not None:
            less = deepcopy(fixtures)
            less.tasks[name].assignee = None
            yield less, sequence


async def explore(
    world: World, password_hash: str, seed: int, *, most: int, all_lists: bool = False
) -> None:
    """Run one sequence. If it fails, fail with the shortest failing sequence that was found."""

    async def failure(fixtures: Model, sequence: list[Step]) -> DisagreementError | None:
        try:
            driver = Driver(world, password_hash, deepcopy(fixtures), all_lists=all_lists)
            await play(driver, sequence)
        except DisagreementError as error:
            return error
        return None

    random = Random(seed)
    fixtures, sequence = random_fixtures(random), random_steps(random, most)
    failed = await failure(fixtures, sequence)
    if failed is None:
        return
    again = True
    while again:
        again = False
        for less in smaller(fixtures, sequence):
            fails = await failure(*less)
            if fails is not None:
                (fixtures, sequence), failed, again = less, fails, True
                break
    failed.add_note(f"Found by the sequence of seed {seed}, and made shorter.")
    raise failed


@pytest_asyncio.fixture(scope="session")
async def password_hash(world: World) -> str:
    """The hash of the password that all users have."""
    return (await world.services.authenticator.passwords.hash(PASSWORD)).text


# An eighth of them by day: they take half a second of the processor each.
@pytest.mark.parametrize(
    "first",
    [0, *(pytest.param(later, marks=pytest.mark.nightly) for later in range(25, 200, 25))],
)
async def test_the_server_follows_the_model_of_the_contract(
    world: World, password_hash: str, first: int
) -> None:
    """The server and the model do each step, and everything is compared."""
    for seed in range(first, first + 25):
        await explore(world, password_hash, seed, most=12)


@asynccontextmanager
async def _writing_elsewhere(settings: Settings) -> AsyncIterator[None]:
    """Short writing transactions in another database of the server, as autovacuum makes them.

    The log's readers stop at the oldest of them, so events are complete a moment later.
    """
    url = urlunsplit(urlsplit(settings.database.dsn)._replace(path="/postgres"))
    elsewhere = await asyncpg.connect(url)

    async def write() -> None:
        while True:
            async with elsewhere.transaction():
                await elsewhere.execute("SELECT pg_current_xact_id()")
                await asyncio.sleep(0.05)

    writing = asyncio.create_task(write())
    try:
        yield
    finally:
        writing.cancel()
        await asyncio.wait([writing])
        await elsewhere.close()


async def test_what_others_write_on_the_server_delays_events_and_nothing_else(
    settings: Settings, world: World, password_hash: str
) -> None:
    async with _writing_elsewhere(settings):
        for seed in (24, 25):
            await explore(world, password_hash, seed, most=12)


@pytest.mark.nightly
@pytest.mark.parametrize("part", range(20))
async def test_the_server_follows_the_model_in_long_sequences(
    world: World, password_hash: str, part: int
) -> None:
    """Longer sequences, different each time, with all lists compared after each step."""
    first = secrets.randbelow(2**48)
    for seed in range(first, first + 250):
        await explore(world, password_hash, seed, most=24, all_lists=True)
