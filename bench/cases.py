"""The queries, in each server's schema.

Taskloom and PostGraphile have connections, the others (`simple`) plain lists, and the floor has a
path for each query. Each query is sent with many different variables in turn, so that no server
can answer from a cache of its latest answers.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg
from graphql import get_introspection_query

from db import models
from graph.core import ids

Dialect = Literal["taskloom", "simple", "postgraphile", "floor"]
Variables = Mapping[str, Any]

# The load generator replaces this by a new UUID, for servers that let the client choose ids.
FRESH_ID: Final = "00000000-0000-7000-8000-000000000000"

WIDE_PAGES: Final = 10
PAGE: Final = 100


@dataclass(slots=True)
class Sample:
    """The objects that are queried. `cursors`: where Taskloom's pages of the wide list begin."""

    user_id: UUID
    tasks: list[UUID]
    projects: list[UUID]
    cursors: list[str | None] = field(default_factory=list)

    def projects_in(self, dialect: Dialect) -> list[str]:
        """The ids of the projects, as a server writes them."""
        return [_id(models.Project, project, dialect) for project in self.projects]


async def take_sample(dsn: str, *, how_many: int = 100) -> Sample:
    """Select objects from the content, always the same ones."""
    connection = await asyncpg.connect(dsn)
    try:
        user_id = await connection.fetchval("SELECT id FROM users WHERE username = 'bench'")
        tasks = await connection.fetch(
            "SELECT id FROM tasks WHERE assignee_id IS NOT NULL ORDER BY id"
        )
        projects = await connection.fetch("SELECT id FROM projects ORDER BY id")
    finally:
        await connection.close()
    chosen = random.Random(7).sample(tasks, min(how_many, len(tasks)))
    return Sample(user_id, [row[0] for row in chosen], [row[0] for row in projects])


@dataclass(frozen=True, slots=True)
class Case:
    """One query. `documents` by dialect; `variables(sample, dialect)` yields all its variables."""

    name: str
    about: str
    documents: Mapping[Dialect, str]
    variables: Callable[[Sample, Dialect], list[Variables]]
    # Its share of the realistic mix.
    weight: int = 0


def _none(_sample: Sample, _dialect: Dialect) -> list[Variables]:
    return [{}]


def _task_ids(sample: Sample, dialect: Dialect) -> list[Variables]:
    return [{"id": _id(models.Task, task, dialect)} for task in sample.tasks]


def _project_ids(sample: Sample, dialect: Dialect) -> list[Variables]:
    return [{"id": project} for project in sample.projects_in(dialect)]


def _id(model: Any, value: UUID, dialect: Dialect) -> str:
    return ids.encode(model, value) if dialect == "taskloom" else str(value)


def _cursors(sample: Sample, dialect: Dialect) -> list[Variables]:
    if dialect != "taskloom":
        return [{}]
    return [{f"after{index}": cursor for index, cursor in enumerate(sample.cursors)}]


def _new_tasks(sample: Sample, dialect: Dialect) -> list[Variables]:
    made: list[Variables] = []
    for number, project in enumerate(sample.projects):
        new: dict[str, Any] = {"title": f"Weigh the frame, once more ({number})"}
        if dialect == "taskloom":
            made.append(
                {
                    "input": {
                        **new,
                        "projectId": ids.encode(models.Project, project),
                        "priority": "HIGH",
                    }
                }
            )
        elif dialect == "postgraphile":
            # Generated from the table alone, it cannot assign a task number: so this creates a task
            # without a project, and the client sets all columns.
            moment = "2026-11-20T12:00:00Z"
            row = {
                **new,
                "priority": 30,
                "rowId": FRESH_ID,
                "status": 10,
                "position": "i0000000",
                "ownerId": str(sample.user_id),
                "createdAt": moment,
                "updatedAt": moment,
                "version": 1,
            }
            made.append({"input": {"task": row}})
        else:
            made.append({**new, "projectId": str(project), "priority": 30})
    return made


_POINT = "{ id title status priority dueAt assignee { id username fullName } }"
_BOARD = "{ id number title status priority dueAt tags position assignee { id username fullName } }"
_WIDE = "{ id number title status priority dueAt startAt estimate createdAt version }"
_NEW = "{ id title status priority version }"

_POSTGRAPHILE = (
    ("{ id ", "{ id: rowId "),
    ("assignee {", "assignee: userByAssigneeId {"),
    ("author {", "author: userByAuthorId {"),
    ("owner {", "owner: userByOwnerId {"),
)


def _in_postgraphile(selection: str) -> str:
    for ours, theirs in _POSTGRAPHILE:
        selection = selection.replace(ours, theirs)
    return selection


def _deep(*, projects: str, tasks: str, comments: str, nodes: bool) -> str:
    """`nodes`: whether lists are connections."""
    begin, end = ("{ nodes ", " }") if nodes else ("", "")
    return (
        f"query Deep {{ {projects} {begin}{{ id name owner {{ id username }} "
        f"{tasks} {begin}{{ id title status assignee {{ id username }} "
        f"{comments} {begin}{{ id body author {{ id username }} }}{end}"
        f" }}{end} }}{end} }}"
    )


_WIDE_PAGES = " ".join(
    f"page{index}: tasks(first: {PAGE}, after: $after{index}) {{ nodes {_WIDE} }}"
    for index in range(WIDE_PAGES)
)
_WIDE_VARIABLES = ", ".join(f"$after{index}: String" for index in range(WIDE_PAGES))

CASES: Final = (
    Case(
        "point",
        "one task and its assignee",
        {
            "taskloom": f"query Point($id: ID!) {{ task(id: $id) {_POINT} }}",
            "simple": f"query Point($id: ID!) {{ task(id: $id) {_POINT} }}",
            "postgraphile": "query Point($id: UUID!) { task: taskByRowId(rowId: $id) "
            f"{_in_postgraphile(_POINT)} }}",
            "floor": "/point",
        },
        _task_ids,
        weight=50,
    ),
    Case(
        "board",
        "100 tasks of a project, 11 fields each, with assignees",
        {
            "taskloom": "query Board($id: ID!) { project(id: $id) { id name "
            f"tasks(first: {PAGE}) {{ nodes {_BOARD} }} }} }}",
            "simple": f"query Board($id: ID!) {{ project(id: $id) {{ id name tasks(first: {PAGE}) "
            f"{_BOARD} }} }}",
            "postgraphile": "query Board($id: UUID!) { project: projectByRowId(rowId: $id) "
            f"{{ id: rowId name tasks: tasksByProjectId(first: {PAGE}, orderBy: [POSITION_ASC]) "
            f"{{ nodes {_in_postgraphile(_BOARD)} }} }} }}",
            "floor": "/board",
        },
        _project_ids,
        weight=30,
    ),
    Case(
        "deep",
        "20 projects, 20 tasks of each, 5 comments of each, with their users",
        {
            "taskloom": _deep(
                projects="projects(first: 20)",
                tasks="tasks(first: 20)",
                comments="comments(first: 5)",
                nodes=True,
            ),
            "simple": _deep(
                projects="projects(first: 20)",
                tasks="tasks(first: 20)",
                comments="comments(first: 5)",
                nodes=False,
            ),
            "postgraphile": _in_postgraphile(
                _deep(
                    projects="projects: allProjects(first: 20, orderBy: [CREATED_AT_DESC])",
                    tasks="tasks: tasksByProjectId(first: 20, orderBy: [POSITION_ASC])",
                    comments="comments: commentsByTaskId(first: 5, orderBy: [ROW_ID_ASC])",
                    nodes=True,
                )
            ),
            "floor": "/deep",
        },
        _none,
        weight=1,
    ),
    Case(
        "wide",
        "1,000 tasks, 10 fields each; for Taskloom ten pages of 100 under aliases",
        {
            "taskloom": f"query Wide({_WIDE_VARIABLES}) {{ {_WIDE_PAGES} }}",
            "simple": f"query Wide {{ tasks(first: {PAGE * WIDE_PAGES}) {_WIDE} }}",
            "postgraphile": f"query Wide {{ tasks: allTasks(first: {PAGE * WIDE_PAGES}, "
            f"orderBy: [CREATED_AT_DESC]) {{ nodes {_in_postgraphile(_WIDE)} }} }}",
            "floor": "/wide",
        },
        _cursors,
        weight=1,
    ),
    Case(
        "create",
        "create a task and read it back; Taskloom with access rules, rank, number and event",
        {
            "taskloom": "mutation Create($input: TaskCreateInput!) { taskCreate(input: $input) "
            f"{{ task {_NEW} errors {{ code message }} }} }}",
            "simple": "mutation Create($projectId: ID!, $title: String!, $priority: Int!) "
            "{ task: createTask(projectId: $projectId, title: $title, priority: $priority) "
            f"{_NEW} }}",
            "postgraphile": "mutation Create($input: CreateTaskInput!) { created: createTask("
            f"input: $input) {{ task {_in_postgraphile(_NEW)} }} }}",
            "floor": "/create",
        },
        _new_tasks,
        weight=18,
    ),
    Case(
        "introspection",
        "the whole schema, as tools request it",
        {
            "taskloom": get_introspection_query(),
            "simple": get_introspection_query(),
            "postgraphile": get_introspection_query(),
            "floor": "/introspection",
        },
        _none,
    ),
)


# The case of documents that no server has seen before.
NEW: Final = "new"
_LEAVES: Final = (
    *("id", "number", "title", "status", "priority", "tags", "position"),
    *("dueAt", "startAt", "estimate", "createdAt", "version"),
)
_PERSON: Final = ("id", "username", "fullName")


def new_document(chance: random.Random, name: str, dialect: Dialect) -> str:
    """A board with some of its fields, some under other names, in any order. `chance` in the same
    state makes the same document in every dialect.
    """
    own = {"id": "rowId", "assignee": "userByAssigneeId"} if dialect == "postgraphile" else {}

    def one(field: str, alias: str) -> str:
        of_server = own.get(field, field)
        return of_server if of_server == alias else f"{alias}: {of_server}"

    def some(fields: Sequence[str], least: int) -> str:
        chosen = chance.sample(fields, chance.randint(least, len(fields)))
        return " ".join(
            one(field, f"{field}{number}" if chance.random() < 0.3 else field)
            for number, field in enumerate(chosen)
        )

    person = some(_PERSON, 1)
    task = f"{{ {some(_LEAVES, 5)} {one('assignee', 'assignee')} {{ {person} }} }}"
    if dialect == "postgraphile":
        return (
            f"query {name}($id: UUID!) {{ project: projectByRowId(rowId: $id) {{ name tasks: "
            f"tasksByProjectId(first: {PAGE}, orderBy: [POSITION_ASC]) {{ nodes {task} }} }} }}"
        )
    tasks = task if dialect == "simple" else f"{{ nodes {task} }}"
    return f"query {name}($id: ID!) {{ project(id: $id) {{ name tasks(first: {PAGE}) {tasks} }} }}"
