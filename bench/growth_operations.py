"""The operations that `bench.growth` measures: everything that an application's screens ask for.

In a document, `$project` is a project of the person with the most tasks, `$task` one of its tasks,
`$edits` a change of 200 of them, and `$cursor` the end of the log before such a change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_FIELDS: Final = (
    "id identifier title status priority dueAt commentCount assignee { username fullName }"
)
_EVENT: Final = "kind at actor { username }"
_SEARCH: Final = "nodes { kind rank subject { __typename ... on Node { id } } }"
BULK_UPDATE: Final = (
    "mutation ($edits: [TaskBulkUpdateItem!]!) { taskBulkUpdate(input: {items: $edits}) "
    "{ errors { message } } }"
)


@dataclass(frozen=True, slots=True)
class Operation:
    """A document with a name. `after_change`: a task is created before each run, so that no
    answer that the server keeps is still right; the creation is not measured.
    """

    name: str
    document: str
    after_change: bool = False


def _tasks(arguments: str = "") -> str:
    given = f"first: 50, {arguments}" if arguments else "first: 50"
    return f"{{ tasks({given}) {{ nodes {{ {_FIELDS} }} }} }}"


def _lists() -> Iterator[Operation]:
    yield Operation(
        "board (100 of a project)",
        "query ($project: ID!) { project(id: $project) { name "
        f"tasks(first: 100, orderBy: [{{position: ASC}}]) {{ nodes {{ {_FIELDS} }} }} }} }}",
    )
    yield Operation("list, default order", _tasks())
    yield Operation(
        "list, filter and dueAt",
        _tasks("filter: {isOpen: true, dueAt: {isNull: false}}, orderBy: [{dueAt: ASC}]"),
    )
    for name, keys in {
        "updatedAt": "{updatedAt: DESC}",
        "title": "{title: ASC}",
        "priority, dueAt": "{priority: DESC}, {dueAt: ASC}",
        "status, position": "{status: ASC}, {position: ASC}",
        "completedAt": "{completedAt: DESC}",
        "estimate": "{estimate: DESC}",
        "assignee.username": "{assignee: {username: ASC}}",
        "owner.createdAt": "{owner: {createdAt: DESC}}",
        "project.name": "{project: {name: ASC}}",
        "project.owner.username": "{project: {owner: {username: ASC}}}",
        "commentCount": "{commentCount: DESC}",
        "attachmentCount": "{attachmentCount: DESC}",
        "tracked": "{tracked: DESC}",
    }.items():
        yield Operation(f"list, order {name}", _tasks(f"orderBy: [{keys}]"))
    for name, condition in {
        "title contains": '{title: {contains: "heron"}}',
        "title contains, none": '{title: {contains: "zeppelin"}}',
        "title startsWith, none": '{title: {startsWith: "zeppelin"}}',
        "description contains, none": '{description: {contains: "zeppelin"}}',
        "search": '{search: "heron"}',
        "search, two words": '{search: "heron guarantee"}',
        "search, none": '{search: "zeppelin"}',
        "comments.some, common": '{comments: {some: {body: {contains: "shop"}}}}',
        "comments.some": '{comments: {some: {body: {contains: "zeppelin"}}}}',
        "comments.some of mine": "{comments: {some: {author: {isMe: true}}}}",
    }.items():
        yield Operation(f"list, {name}", _tasks(f"filter: {condition}"))
    yield Operation(
        "list, tag, one project",
        "query ($project: ID!) { project(id: $project) { "
        'tasks(first: 50, filter: {tags: {some: {eq: "repair"}}}) '
        f"{{ nodes {{ {_FIELDS} }} }} }} }}",
    )
    yield Operation("totalCount", "{ tasks(first: 1) { totalCount } }")
    yield Operation(
        "totalCount, filter", "{ tasks(first: 1, filter: {isOpen: true}) { totalCount } }"
    )
    for name, words in {
        "common word": "heron",
        "most common word": "the",
        "two words": "the board",
        "prefix": "a",
        "no hit": "zeppelin",
        "two words, no hit": "heron prototype",
    }.items():
        yield Operation(f"search, {name}", f'{{ search(query: "{words}") {{ {_SEARCH} }} }}')
    yield Operation(
        "search, common word, one project",
        'query ($project: ID!) { search(query: "the", filter: {project: {id: {eq: $project}}}) '
        f"{{ {_SEARCH} }} }}",
    )
    yield Operation("search, count", '{ search(query: "heron", first: 1) { totalCount } }')


def _figures() -> Iterator[Operation]:
    stats = "total completed open overdue byStatus { status count }"
    yield Operation("taskStats", f"{{ taskStats {{ {stats} }} }}")
    yield Operation("taskStats, after a change", f"{{ taskStats {{ {stats} }} }}", True)
    for name, condition in {
        "by status": "{isOpen: true}",
        "by a word": '{title: {contains: "heron"}}',
        "by a word, none": '{title: {contains: "zeppelin"}}',
    }.items():
        yield Operation(f"taskStats, {name}", f"{{ taskStats(filter: {condition}) {{ {stats} }} }}")
    yield Operation(
        "taskStats, grouped by assignee",
        "{ taskStats(filter: {isOpen: true}, groupBy: [ASSIGNEE]) { groups { total } } }",
    )
    of_project = f"query ($project: ID!) {{ project(id: $project) {{ stats {{ {stats} }} }} }}"
    yield Operation("project.stats", of_project)
    yield Operation("project.stats, after a change", of_project, True)
    yield Operation("tags", "{ tags(first: 50) { nodes { name taskCount } } }")
    yield Operation(
        "timeReport, project and day",
        "{ timeReport(groupBy: [PROJECT, DAY]) { total groups { total groups { day total } } } }",
    )
    yield Operation(
        "timeEntries", "{ timeEntries(first: 50) { nodes { startedAt duration task { title } } } }"
    )


def _log() -> Iterator[Operation]:
    yield Operation("activity", f"{{ viewer {{ activity {{ nodes {{ {_EVENT} }} }} }} }}")
    yield Operation(
        "activity, kind",
        "{ viewer { activity(filter: {kind: {eq: TASK_COMPLETED}}) "
        f"{{ nodes {{ {_EVENT} }} }} }} }}",
    )
    yield Operation("activity, totalCount", "{ viewer { activity(first: 1) { totalCount } } }")
    yield Operation("activityStats", "{ viewer { activityStats { total byKind { kind count } } } }")
    yield Operation(
        "task.activity",
        f"query ($task: ID!) {{ task(id: $task) {{ activity {{ nodes {{ {_EVENT} }} }} }} }}",
    )
    yield Operation(
        "project.activity",
        "query ($project: ID!) { project(id: $project) { "
        f"activity {{ nodes {{ {_EVENT} }} }} }} }}",
    )
    yield Operation("notifications", "{ viewer { notifications { nodes { id kind isRead } } } }")
    yield Operation("unreadNotificationCount", "{ viewer { unreadNotificationCount } }")
    yield Operation(
        "events, after a cursor",
        f"query ($cursor: String!) {{ events(first: 100, after: $cursor) "
        f"{{ nodes {{ {_EVENT} task {{ id title }} }} }} }}",
    )


def _others() -> Iterator[Operation]:
    person = "{ nodes { id username fullName } }"
    yield Operation("users", f"{{ users {person} }}")
    yield Operation("users, search", f'{{ users(filter: {{search: "ma"}}) {person} }}')
    yield Operation(
        "users, fullName contains, none",
        f'{{ users(filter: {{fullName: {{contains: "zeppelin"}}}}) {person} }}',
    )
    yield Operation("users, search, none", f'{{ users(filter: {{search: "zeppelin"}}) {person} }}')
    yield Operation(
        "projects, order name", "{ projects(orderBy: [{name: ASC}]) { nodes { id name key } } }"
    )
    yield Operation(
        "projects, name contains, none",
        '{ projects(filter: {name: {contains: "zeppelin"}}) { nodes { id name } } }',
    )
    yield Operation("projects, tracked", "{ projects { nodes { name tracked } } }")
    yield Operation(
        "taskCreate",
        'mutation { taskCreate(input: {title: "Growth"}) { task { id } errors { message } } }',
    )
    yield Operation("taskBulkUpdate (200)", BULK_UPDATE)


OPERATIONS: Final = (*_lists(), *_figures(), *_log(), *_others())
