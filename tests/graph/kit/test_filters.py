"""Every comparator finds what it says, and a filter that says nothing clear is refused."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import pytest_asyncio
from graphql import GraphQLInputObjectType, GraphQLSchema

from db import models
from db.models import Permission, TaskPriority, TaskStatus
from graph.schema import schema
from tests.accounts import Person
from tests.factories import World, fresh_id, gid
from tests.graph.kit.criteria import named, short, used
from tests.graph.kit.test_filters_of_lists import CASES as LIST_CASES
from tests.graph.kit.test_filters_of_lists import REPORT_CASES

SCHEMA: GraphQLSchema = schema._schema

TASKS = """
query ($filter: TaskFilter) {
  tasks(filter: $filter, orderBy: [{ title: ASC }], first: 100) { nodes { title } totalCount }
}
"""
PROJECTS = """
query ($filter: ProjectFilter) {
  projects(filter: $filter, orderBy: [{ name: ASC }]) { nodes { name } totalCount }
}
"""
NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


class Scene:
    """Five tasks, A to E, told apart by every column; and what filters name."""

    def __init__(self, owner: Person, helper: Person, names: dict[str, str]) -> None:
        self.owner = owner
        self.helper = helper
        self.names = names


@pytest_asyncio.fixture(scope="module")
async def scene(world: World) -> Scene:
    owner = await world.person(full_name="Olga Owner")
    helper = await world.person(full_name="Hugo Helper")
    project = await world.project(
        owner, name="Alpha ship", description="to the moon", editors=[helper]
    )
    other = await world.project(owner, name="Beta 100%")
    alpha = {"project_id": project.id}
    at = NOW.replace(year=2030, month=6, day=1, hour=0, minute=0, second=0, microsecond=0)
    a = await world.task(
        owner,
        "A first",
        description="Write the DRAFT",
        notes="a_note",
        tags=("Red", "straße"),
        due_at=NOW - DAY,
        start_at=at,
        estimate=10,
        priority=TaskPriority.LOW,
        assignee_id=helper.id,
        **alpha,
    )
    b = await world.task(
        owner,
        "B second 50%",
        tags=("red", "blue"),
        due_at=at,
        start_at=at + DAY,
        estimate=20,
        priority=TaskPriority.HIGH,
        status=TaskStatus.IN_PROGRESS,
        parent_id=a.id,
        **alpha,
    )
    c = await world.task(
        helper,
        "C third",
        tags=("blue",),
        due_on=dt.date(2030, 6, 2),
        status=TaskStatus.COMPLETED,
        parent_id=a.id,
        **alpha,
    )
    d = await world.task(
        owner,
        "D fourth",
        due_at=NOW - DAY,
        status=TaskStatus.CANCELLED,
        project_id=other.id,
        assignee_id=owner.id,
    )
    e = await world.task(owner, "E fifth \N{LATIN SMALL LETTER E WITH ACUTE}té", tags=("Red",))
    names = {letter: gid(task) for letter, task in zip("ABCDE", (a, b, c, d, e), strict=True)}
    names |= {"alpha": gid(project), "beta": gid(other)}
    names |= {"owner": gid(owner), "helper": gid(helper)}
    names |= {"helperName": helper.username, "alphaKey": project.key}
    names |= {"alphaTask": f"{project.key}-1", "alphaTaskSmall": f"{project.key}-1".lower()}
    share = await world.share(e, helper, Permission.EDIT, expires_at=at)
    common = {"created_at": NOW, "updated_at": NOW, "version": 1}
    said = models.Comment(
        id=fresh_id(), task_id=a.id, author_id=helper.id, body="A Needle", edited_at=NOW, **common
    )
    answer = models.Comment(
        id=fresh_id(), task_id=a.id, author_id=owner.id, body="hay", parent_id=said.id, **common
    )
    gone = models.Comment(
        id=fresh_id(), task_id=b.id, author_id=owner.id, body="", removed_at=NOW, **common
    )
    await world.rows(said, answer, gone)
    names |= {"share": gid(share), "said": gid(said)}
    return Scene(owner, helper, names)


# What each filter finds among the tasks A to E.
TASK_CASES: list[tuple[dict[str, Any], str]] = [
    # StringFilter
    ({"title": {"eq": "A first"}}, "A"),
    ({"title": {"eq": "a first"}}, ""),
    ({"title": {"notEq": "A first"}}, "BCDE"),
    ({"title": {"in": ["A first", "C third", "x"]}}, "AC"),
    ({"title": {"in": []}}, ""),
    ({"title": {"notIn": ["A first", "C third"]}}, "BDE"),
    ({"title": {"notIn": []}}, "ABCDE"),
    ({"title": {"contains": "IR"}}, "AC"),
    ({"title": {"contains": "%"}}, "B"),
    ({"notes": {"contains": "_"}}, "A"),
    ({"title": {"contains": "\\"}}, ""),
    ({"title": {"contains": "e\u0301t\u0065\u0301"}}, "E"),
    ({"title": {"contains": "fi", "startsWith": "a"}}, "A"),
    ({"title": {"startsWith": "b SEC"}}, "B"),
    ({"title": {"endsWith": "IRD"}}, "C"),
    ({"title": {"endsWith": "%"}}, "B"),
    # Names and keys, without regard to case
    ({"identifier": {"eq": "$alphaTask"}}, "A"),
    ({"identifier": {"eq": "$alphaTaskSmall"}}, "A"),
    ({"identifier": {"in": ["$alphaTask", "NONE-1", "x"]}}, "A"),
    ({"identifier": {"notEq": "$alphaTask"}}, "BCDE"),
    ({"identifier": {"startsWith": "$alphaKey"}}, "ABC"),
    ({"identifier": {"isNull": True}}, "E"),
    ({"project": {"name": {"eq": "ALPHA SHIP"}}}, "ABC"),
    ({"project": {"name": {"in": ["alpha ship", "x"]}}}, "ABC"),
    ({"project": {"name": {"notIn": ["alpha ship", "x"]}}}, "D"),
    ({"assignee": {"fullName": {"eq": "hugo HELPER"}}}, "A"),
    ({"assignee": {"fullName": {"notEq": "hugo HELPER"}}}, "D"),
    ({"description": {"isNull": True}}, "BCDE"),
    ({"description": {"isNull": False}}, "A"),
    ({"description": {"notEq": "x"}}, "ABCDE"),
    ({"description": {"notIn": ["x"]}}, "ABCDE"),
    # IDFilter
    ({"id": {"eq": "$A"}}, "A"),
    ({"id": {"notEq": "$A"}}, "BCDE"),
    ({"id": {"in": ["$A", "$E"]}}, "AE"),
    ({"id": {"notIn": ["$A", "$E"]}}, "BCD"),
    ({"project": {"isNull": True}}, "E"),
    ({"project": {"isNull": False}}, "ABCD"),
    ({"project": {"id": {"isNull": True}}}, "E"),
    ({"id": {"isNull": True}}, ""),
    ({"isNull": True}, ""),
    ({"isNull": False}, "ABCDE"),
    ({"assignee": {"isMe": True}}, "D"),
    ({"assignee": {"isMe": False}}, "A"),
    ({"assignee": {"not": {"isMe": True}}}, "A"),
    ({"not": {"assignee": {"isMe": True}}}, "ABCE"),
    ({"assignee": {"not": {"isNull": True}}}, "AD"),
    ({"assignee": {"not": {"isNull": False}}}, "BCE"),
    ({"assignee": {"or": [{"isNull": True}, {"isMe": True}]}}, "BCDE"),
    ({"assignee": {"not": {"or": [{"isNull": True}, {"isMe": True}]}}}, "A"),
    ({"assignee": {"not": {"isNull": False, "isMe": True}}}, "ABCE"),
    ({"assignee": {"isNull": False, "fullName": {"contains": "o"}}}, "AD"),
    ({"parent": {"assignee": {"isNull": True}}}, ""),
    ({"not": {"parent": {"assignee": {"isNull": False}}}}, "ADE"),
    ({"comments": {"some": {"author": {"isMe": True}}}}, "AB"),
    ({"project": {"id": {"eq": "$alpha"}}}, "ABC"),
    ({"owner": {"id": {"eq": "$helper"}}}, "C"),
    ({"assignee": {"isNull": True}}, "BCE"),
    ({"parent": {"id": {"eq": "$A"}}}, "BC"),
    # IntFilter
    ({"estimate": {"eq": 10}}, "A"),
    ({"estimate": {"notEq": 10}}, "BCDE"),
    ({"estimate": {"in": [10, 20]}}, "AB"),
    ({"estimate": {"notIn": [10]}}, "BCDE"),
    ({"estimate": {"lt": 20}}, "A"),
    ({"estimate": {"lte": 20}}, "AB"),
    ({"estimate": {"gt": 10}}, "B"),
    ({"estimate": {"gte": 10, "lt": 15}}, "A"),
    ({"estimate": {"isNull": True}}, "CDE"),
    ({"number": {"eq": 1}}, "AD"),
    # SecondsFilter: lengths that no column of 32 bits has
    ({"estimate": {"lt": 2**53 - 1}}, "AB"),
    ({"estimate": {"gt": -(2**53 - 1)}}, "AB"),
    ({"estimate": {"in": [10, 2**31]}}, "A"),
    ({"estimate": {"notEq": 2**31}}, "ABCDE"),
    # DateTimeFilter
    ({"startAt": {"eq": "2030-06-01T02:00:00+02:00"}}, "A"),
    ({"startAt": {"lt": "2030-06-02T00:00:00Z"}}, "A"),
    ({"startAt": {"lte": "2030-06-02T00:00:00Z"}}, "AB"),
    ({"startAt": {"gt": "2030-06-01T00:00:00Z"}}, "B"),
    ({"startAt": {"gte": "2030-06-01T00:00:00Z"}}, "AB"),
    ({"startAt": {"isNull": True}}, "CDE"),
    ({"startAt": {"in": ["2030-06-01T00:00:00Z", "2031-06-01T00:00:00Z"]}}, "A"),
    ({"startAt": {"notEq": "2030-06-01T00:00:00Z"}}, "BCDE"),
    ({"startAt": {"notIn": ["2030-06-01T00:00:00Z"]}}, "BCDE"),
    ({"dueAt": {"within": "-P2D"}}, "AD"),
    ({"dueAt": {"within": "-PT6H"}}, ""),
    ({"dueAt": {"within": "P36500D"}}, "BC"),
    ({"createdAt": {"within": "-PT1H"}}, "ABCDE"),
    ({"dueAt": {"gte": "2030-01-01T00:00:00Z"}}, "BC"),
    ({"completedAt": {"isNull": False}}, "C"),
    ({"createdAt": {"gt": "2031-01-01T00:00:00Z"}}, ""),
    ({"updatedAt": {"gt": "2020-01-01T00:00:00Z"}}, "ABCDE"),
    # DateFilter
    ({"dueOn": {"eq": "2030-06-02"}}, "C"),
    ({"dueOn": {"in": ["2030-06-02"]}}, "C"),
    ({"dueOn": {"lt": "2030-06-02"}}, ""),
    ({"dueOn": {"lte": "2030-06-02"}}, "C"),
    ({"dueOn": {"gt": "2030-06-01"}}, "C"),
    ({"dueOn": {"gte": "2030-06-03"}}, ""),
    ({"dueOn": {"isNull": False}}, "C"),
    ({"dueOn": {"notEq": "2030-06-02"}}, "ABDE"),
    ({"dueOn": {"notIn": ["2030-06-02"]}}, "ABDE"),
    ({"dueOn": {"within": "P5200W"}}, "C"),
    ({"dueOn": {"within": "P7D"}}, ""),
    # TaskStatusFilter
    ({"status": {"eq": "TODO"}}, "AE"),
    ({"status": {"notEq": "TODO"}}, "BCD"),
    ({"status": {"in": ["TODO", "COMPLETED"]}}, "ACE"),
    ({"status": {"notIn": ["TODO", "COMPLETED"]}}, "BD"),
    ({"status": {"lt": "COMPLETED"}}, "ABE"),
    ({"status": {"gte": "COMPLETED", "isNull": False}}, "CD"),
    ({"isOpen": True}, "ABE"),
    ({"isOpen": False}, "CD"),
    ({"status": {"eq": "COMPLETED"}}, "C"),
    ({"status": {"notEq": "COMPLETED"}}, "ABDE"),
    # TaskPriorityFilter
    ({"priority": {"eq": "LOW"}}, "A"),
    ({"priority": {"notEq": "LOW"}}, "BCDE"),
    ({"priority": {"in": ["LOW", "HIGH"]}}, "AB"),
    ({"priority": {"notIn": ["LOW", "HIGH"]}}, "CDE"),
    ({"priority": {"lt": "LOW"}}, "CDE"),
    ({"priority": {"lte": "LOW"}}, "ACDE"),
    ({"priority": {"gt": "LOW"}}, "B"),
    ({"priority": {"gte": "LOW"}}, "AB"),
    # isOverdue: open and past due
    ({"isOverdue": True}, "A"),
    ({"isOverdue": False}, "BCDE"),
    ({"isDeleted": False}, "ABCDE"),
    ({"isDeleted": True}, ""),
    # TagListFilter, without regard to case
    ({"tags": {"some": {"eq": "RED"}}}, "ABE"),
    ({"tags": {"some": {"eq": "STRASSE"}}}, "A"),
    ({"tags": {"none": {"eq": "red"}}}, "CD"),
    ({"tags": {"every": {"eq": "red"}}}, "DE"),
    ({"tags": {"some": {"startsWith": "bl"}}}, "BC"),
    ({"tags": {"some": {"in": ["Blue", "Strasse"]}}}, "ABC"),
    ({"tags": {"some": {"eq": "red"}, "none": {"eq": "blue"}}}, "AE"),
    # UserFilter
    ({"assignee": {"fullName": {"contains": "hugo"}}}, "A"),
    ({"assignee": {"username": {"eq": "$helperName"}}}, "A"),
    ({"assignee": {"id": {"eq": "$owner"}}}, "D"),
    ({"owner": {"search": "olga owner"}}, "ABDE"),
    ({"not": {"assignee": {"fullName": {"contains": "hugo"}}}}, "BCDE"),
    # ProjectFilter, ProjectMemberFilter
    ({"project": {"name": {"startsWith": "alpha"}}}, "ABC"),
    ({"project": {"key": {"eq": "$alphaKey"}}}, "ABC"),
    ({"project": {"members": {"some": {"user": {"id": {"eq": "$helper"}}}}}}, "ABC"),
    ({"project": {"members": {"none": {"role": {"eq": "EDITOR"}}}}}, "D"),
    ({"project": {"members": {"every": {"role": {"gte": "EDITOR"}}}}}, "ABCD"),
    ({"project": {"members": {"every": {"role": {"gte": "ADMIN"}}}}}, "D"),
    # TaskListFilter and the task above
    ({"subtasks": {"some": {"title": {"startsWith": "B"}}}}, "A"),
    ({"subtasks": {"none": {"status": {"eq": "COMPLETED"}}}}, "BCDE"),
    ({"subtasks": {"every": {"status": {"eq": "COMPLETED"}}}}, "BCDE"),
    ({"parent": {"title": {"eq": "A first"}}}, "BC"),
    # TaskShareListFilter, TaskSharePermissionFilter
    ({"shares": {"some": {"permission": {"eq": "EDIT"}}}}, "E"),
    ({"shares": {"some": {"permission": {"notEq": "EDIT"}}}}, ""),
    ({"shares": {"some": {"permission": {"in": ["VIEW"]}}}}, ""),
    ({"shares": {"some": {"permission": {"notIn": ["VIEW"]}}}}, "E"),
    ({"shares": {"none": {"id": {"eq": "$share"}}}}, "ABCD"),
    ({"shares": {"every": {"isExpired": False}}}, "ABCDE"),
    ({"shares": {"every": {"isExpired": True}}}, "ABCD"),
    ({"shares": {"some": {"user": {"username": {"eq": "$helperName"}}}}}, "E"),
    ({"shares": {"some": {"user": {"id": {"eq": "$helper"}}}}}, "E"),
    ({"shares": {"some": {"sharedBy": {"id": {"eq": "$helper"}}}}}, ""),
    ({"shares": {"some": {"sharedBy": {"id": {"eq": "$owner"}}}}}, "E"),
    ({"shares": {"some": {"task": {"title": {"startsWith": "E"}}}}}, "E"),
    ({"shares": {"some": {"expiresAt": {"gt": "2030-01-01T00:00:00Z"}}}}, "E"),
    ({"shares": {"some": {"createdAt": {"lt": "2020-01-01T00:00:00Z"}}}}, ""),
    ({"shares": {"some": {"updatedAt": {"within": "-P1D"}}}}, "E"),
    ({"shares": {"some": {"permission": {"gt": "VIEW"}}}}, "E"),
    ({"shares": {"some": {"user": {"isMe": True}}}}, ""),
    ({"shares": {"none": {"user": {"isMe": True}}}}, "ABCDE"),
    # CommentListFilter
    ({"comments": {"some": {"body": {"contains": "needle"}}}}, "A"),
    ({"comments": {"some": {"search": "NEEDLE a"}}}, "A"),
    ({"comments": {"none": {"isDeleted": False}}}, "BCDE"),
    ({"comments": {"every": {"isDeleted": False}}}, "ACDE"),
    ({"comments": {"some": {"id": {"eq": "$said"}}}}, "A"),
    ({"comments": {"some": {"author": {"fullName": {"contains": "hugo"}}}}}, "A"),
    ({"comments": {"some": {"author": {"id": {"eq": "$owner"}}}}}, "AB"),
    ({"comments": {"some": {"parent": {"id": {"eq": "$said"}}}}}, "A"),
    ({"comments": {"some": {"parent": {"isNull": True}}}}, "AB"),
    ({"comments": {"some": {"task": {"title": {"startsWith": "B"}}}}}, "B"),
    ({"comments": {"some": {"editedAt": {"isNull": False}}}}, "A"),
    ({"comments": {"some": {"createdAt": {"lt": "2020-01-01T00:00:00Z"}}}}, ""),
    ({"comments": {"some": {"updatedAt": {"within": "-P1D"}}}}, "AB"),
    ({"comments": {"some": {"parent": {"body": {"contains": "needle"}}}}}, "A"),
    # search: all words, anywhere
    ({"search": "draft a_NOTE"}, "A"),
    ({"search": "first second"}, ""),
    ({"search": "50%"}, "B"),
    # and, or, not
    ({"and": [{"title": {"contains": "ir"}}, {"status": {"eq": "COMPLETED"}}]}, "C"),
    ({"or": [{"title": {"startsWith": "E"}}, {"status": {"eq": "COMPLETED"}}]}, "CE"),
    ({"not": {"status": {"eq": "COMPLETED"}}}, "ABDE"),
    ({"not": {"not": {"status": {"eq": "COMPLETED"}}}}, "C"),
    ({"not": {"estimate": {"gt": 5}}}, "CDE"),
    ({"status": {"notEq": "COMPLETED"}, "or": [{"id": {"eq": "$C"}}, {"id": {"eq": "$D"}}]}, "D"),
    (
        {
            "and": [
                {"or": [{"id": {"eq": "$A"}}, {"id": {"eq": "$B"}}]},
                {"not": {"id": {"eq": "$A"}}},
            ]
        },
        "B",
    ),
    ({"title": {"in": ["A first", "B second 50%"], "notEq": "A first"}}, "B"),
]

PROJECT_CASES: list[tuple[dict[str, Any], str]] = [
    ({"id": {"eq": "$alpha"}}, "A"),
    ({"name": {"contains": "100%"}}, "B"),
    ({"description": {"isNull": True}}, "B"),
    ({"owner": {"fullName": {"eq": "Olga Owner"}}}, "AB"),
    ({"tracked": {"eq": 0}}, "AB"),
    ({"isArchived": True}, ""),
    ({"isArchived": False}, "AB"),
    ({"isDeleted": True}, ""),
    ({"isDeleted": False}, "AB"),
    ({"archivedAt": {"isNull": True}}, "AB"),
    ({"createdAt": {"gt": "2020-01-01T00:00:00Z"}}, "AB"),
    ({"updatedAt": {"lt": "2020-01-01T00:00:00Z"}}, ""),
    ({"search": "MOON alpha"}, "A"),
    ({"members": {"some": {"role": {"in": ["EDITOR"]}}}}, "A"),
    ({"members": {"some": {"role": {"notEq": "OWNER"}}}}, "A"),
    ({"members": {"some": {"role": {"notIn": ["OWNER"]}}}}, "A"),
    ({"members": {"some": {"role": {"lte": "EDITOR"}}}}, "A"),
    ({"members": {"some": {"createdAt": {"gt": "2020-01-01T00:00:00Z"}}}}, "AB"),
    ({"members": {"none": {"user": {"search": "hugo"}}}}, "B"),
    ({"members": {"some": {"updatedAt": {"within": "-P1D"}}}}, "AB"),
    ({"members": {"some": {"user": {"isMe": True}, "role": {"gt": "ADMIN"}}}}, "AB"),
    ({"isNull": True}, ""),
]


@pytest.mark.parametrize(("filter_", "found"), TASK_CASES, ids=short)
async def test_tasks(world: World, scene: Scene, filter_: dict[str, Any], found: str) -> None:
    reply = await world.run(TASKS, scene.owner, filter=named(filter_, scene.names))
    page = reply.good["tasks"]
    assert "".join(node["title"][0] for node in page["nodes"]) == found
    assert page["totalCount"] == len(found)


@pytest.mark.parametrize(("filter_", "found"), PROJECT_CASES, ids=short)
async def test_projects(world: World, scene: Scene, filter_: dict[str, Any], found: str) -> None:
    reply = await world.run(PROJECTS, scene.owner, filter=named(filter_, scene.names))
    page = reply.good["projects"]
    assert "".join(node["name"][0] for node in page["nodes"]) == found
    assert page["totalCount"] == len(found)


# Filters whose comparators are shown elsewhere, by the file that shows them.
ELSEWHERE = {
    "AdminUserFilter": "tests/graph/admin/test_user_admin.py",
    "ReminderFilter": "tests/graph/tasks/test_reminders.py",
    "ReminderRuleKindFilter": "tests/graph/tasks/test_reminders.py",
    "SearchFilter": "tests/graph/tasks/test_search.py",
    "SessionFilter": "tests/graph/accounts/test_user_sessions.py",
}
COMBINERS = {"and", "or", "not"}


def test_every_criterion_of_every_filter_has_a_case() -> None:
    """A new comparator or criterion is to be added to the cases above, or to those of the other
    lists.
    """
    filters = {
        name: type_
        for name, type_ in SCHEMA.type_map.items()
        if isinstance(type_, GraphQLInputObjectType)
        and name.endswith("Filter")
        and name not in ELSEWHERE
    }
    shown: set[str] = set()
    tables: list[tuple[str, dict[str, Any]]] = [
        *(("TaskFilter", case[0]) for case in TASK_CASES),
        *(("ProjectFilter", case[0]) for case in PROJECT_CASES),
        *(("TimeReportFilter", case[0]) for case in REPORT_CASES),
        *(case[:2] for case in LIST_CASES),
    ]
    for root, filter_ in tables:
        shown.update(used(filters[root], filter_))
    combined = {f"TaskFilter.{name}" for name in COMBINERS}
    assert combined <= shown
    # Comparators come from one declaration, so each is shown by any of them.
    comparators = {name for name, type_ in filters.items() if "eq" in type_.fields}
    operators = {one.partition(".")[2] for one in shown if one.partition(".")[0] in comparators}
    every = {
        f"{name}.{field}"
        for name, type_ in filters.items()
        for field in type_.fields
        if field not in (operators if name in comparators else COMBINERS)
    }
    # Members are only reached through their project, by role and person.
    assert sorted(every - shown - {"ProjectMemberFilter.id"}) == []


REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"title": None}, ["filter", "title"]),
    ({"title": {"eq": None}}, ["filter", "title", "eq"]),
    ({"and": []}, ["filter", "and"]),
    ({"or": []}, ["filter", "or"]),
    ({"and": None}, ["filter", "and"]),
    ({"not": None}, ["filter", "not"]),
    ({"isOpen": None}, ["filter", "isOpen"]),
    ({"search": ""}, ["filter", "search"]),
    ({"search": "  "}, ["filter", "search"]),
    ({"search": "a\x00b"}, ["filter", "search"]),
    ({"search": " ".join("abcdefghijk")}, ["filter", "search"]),
    ({"title": {"eq": "a\x00b"}}, ["filter", "title", "eq"]),
    ({"title": {"in": ["a", "b\x00"]}}, ["filter", "title", "in", "1"]),
    ({"id": {"eq": "nonsense"}}, ["filter", "id", "eq"]),
    ({"id": {"eq": "$alpha"}}, ["filter", "id", "eq"]),
    ({"project": {"id": {"in": ["$alpha", "$A"]}}}, ["filter", "project", "id", "in", "1"]),
    ({"title": {"in": ["x"] * 1_001}}, ["filter", "title", "in"]),
    ({"or": [{"isOpen": True}] * 101}, []),
    ({"dueAt": {"within": "P36526D"}}, ["filter", "dueAt", "within"]),
    ({"not": {"dueOn": {"within": "-P99999W"}}}, ["filter", "not", "dueOn", "within"]),
]


@pytest.mark.parametrize(("filter_", "path"), REFUSED, ids=short)
async def test_what_is_null_or_malformed_is_refused_with_its_place(
    world: World, scene: Scene, filter_: dict[str, Any], path: list[str]
) -> None:
    reply = await world.run(TASKS, scene.owner, filter=named(filter_, scene.names))
    assert reply.codes == ["BAD_USER_INPUT"]
    place = reply.errors[0]["extensions"]["argumentPath"]
    assert place[: len(path)] == path
    assert not path or len(place) == len(path)


@pytest.mark.parametrize(
    "filter_",
    [
        {"unknown": {"eq": 1}},
        {"title": {"matches": "x"}},
        {"title": "x"},
        {"title": {"eq": 1}},
        {"status": {"eq": "NOPE"}},
        {"dueAt": {"lt": "tomorrow"}},
        {"dueAt": {"lt": "2030-01-01T00:00:00"}},
        {"dueOn": {"eq": "2030-02-30"}},
        {"dueAt": {"within": "P1M"}},
        {"dueAt": {"within": "7 days"}},
        {"assignee": {"isMe": "yes"}},
        {"project": {"id": {"eq": "x"}}},
        {"estimate": {"eq": 2**53}},
        {"estimate": {"eq": 1.5}},
        {"title": {"in": ["x", None]}},
        {"isOpen": "yes"},
        {"search": 1},
        [],
        1,
        "x",
    ],
    ids=short,
)
async def test_what_does_not_fit_the_schema_is_the_clients_error(
    world: World, scene: Scene, filter_: Any
) -> None:
    reply = await world.post(TASKS, scene.owner, filter=filter_)
    assert set(reply.codes) <= {"BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED"}
    assert reply.codes
    assert reply.status in {200, 400}


async def test_a_statement_is_built_once_for_a_shape_and_values_are_never_in_it(
    world: World, scene: Scene
) -> None:
    texts = []
    for word in ("alpha'; DROP TABLE tasks --", "beta"):
        reply = await world.run(TASKS, scene.owner, filter={"title": {"contains": word}})
        assert reply.good["tasks"]["nodes"] == []
        texts.append(reply.statements)
    assert texts[0] == texts[1]
    assert not any("DROP" in text for text in texts[0])


async def test_an_overdue_all_day_task_is_overdue_once_its_day_is_over(world: World) -> None:
    """In the zone of who set it, though another zone has another day."""
    person = await world.person(timezone="Pacific/Kiritimati")  # 14 hours ahead of UTC
    zone = dt.timezone(dt.timedelta(hours=14))
    today = dt.datetime.now(zone).date()
    await world.task(person, "today", due_on=today)
    await world.task(person, "yesterday", due_on=today - DAY)
    reply = await world.run(TASKS, person, filter={"isOverdue": True})
    assert [node["title"] for node in reply.good["tasks"]["nodes"]] == ["yesterday"]


async def test_members_filter_and_order_their_list(world: World, scene: Scene) -> None:
    project: models.Project = await world.project(scene.owner, editors=[scene.helper])
    reply = await world.run(
        """query ($id: ID!) {
          project(id: $id) {
            members(orderBy: [{ user: { fullName: ASC } }]) { nodes { role user { fullName } } }
            editors: members(filter: { role: { eq: EDITOR } }) { totalCount }
          }
        }""",
        scene.owner,
        id=gid(project),
    )
    found = reply.good["project"]
    names = [node["user"]["fullName"] for node in found["members"]["nodes"]]
    assert names == ["Hugo Helper", "Olga Owner"]
    assert found["editors"]["totalCount"] == 1
