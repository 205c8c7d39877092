"""What people say about tasks."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest
from sqlalchemy import func, select

from db import models
from tests.accounts import Person
from tests.factories import ENGINES, Engine, Reply, World, fresh_id, gid, missing

CREATE = """
mutation ($input: CommentCreateInput!) {
  commentCreate(input: $input) {
    comment { id body bodyHtml bodyText author { username } mentions { username } editedAt
              parent { id } viewerCanEdit viewerCanDelete version }
    errors { code path }
  }
}
"""
UPDATE = """
mutation ($input: CommentUpdateInput!) {
  commentUpdate(input: $input) {
    comment { body editedAt version mentions { username }
              revisions { nodes { body } totalCount } }
    errors { code path conflictingFields }
  }
}
"""
DELETE = """
mutation ($input: CommentDeleteInput!) {
  commentDelete(input: $input) {
    deletedId comment { id isDeleted } task { commentCount } errors { code path }
  }
}
"""
COMMENT = """
query ($id: ID!) {
  comment(id: $id) {
    body bodyHtml bodyText isDeleted author { username } mentions { username }
    revisions { totalCount } replies { nodes { body } totalCount }
  }
}
"""
THREADS = """
query ($id: ID!) {
  task(id: $id) {
    commentCount
    comments { nodes { body parent { body } } totalCount }
    threads: comments(filter: {parent: {isNull: true}}) {
      nodes { body replyCount replies { nodes { body } } }
    }
  }
}
"""
EVENTS = """
query ($since: String!) {
  events(after: $since) {
    nodes { kind task { id } subject { __typename }
      changes { field ... on TextChange { oldText newText } ... on ListChange { added removed } } }
  }
}
"""


async def write(world: World, who: Person, task: models.Task, body: str, **given: Any) -> Reply:
    return await world.run(CREATE, who, input={"taskId": gid(task), "body": body, **given})


async def written(world: World, who: Person, task: models.Task, body: str, **given: Any) -> str:
    reply = await write(world, who, task, body, **given)
    return str(reply.good["commentCreate"]["comment"]["id"])


def failures(reply: Reply) -> list[tuple[str, str]]:
    return [(error["code"], ".".join(error["path"])) for error in reply.user_errors]


@pytest.mark.parametrize("engine", ENGINES)
async def test_comments_and_their_answers(world: World, engine: Engine) -> None:
    ada, bob = await world.people(2)
    task = await world.task(ada)
    await world.share(task, bob)
    first = await written(world, ada, task, "one")
    await written(world, bob, task, "two")
    await written(world, bob, task, "one, answered", parentId=first)
    found = (await world.run(THREADS, bob, engine=engine, id=gid(task))).good["task"]
    assert found["commentCount"] == found["comments"]["totalCount"] == 3
    assert [one["body"] for one in found["comments"]["nodes"]] == ["one", "two", "one, answered"]
    assert found["comments"]["nodes"][2]["parent"] == {"body": "one"}
    assert found["threads"]["nodes"] == [
        {"body": "one", "replyCount": 1, "replies": {"nodes": [{"body": "one, answered"}]}},
        {"body": "two", "replyCount": 0, "replies": {"nodes": []}},
    ]


async def test_a_comment_is_markdown_html_and_text(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada)
    reply = await write(
        world, ada, task, "  **Hi** <script>alert(1)</script>\r\n[x](https://a.b)  "
    )
    comment = reply.good["commentCreate"]["comment"]
    assert comment["body"] == "**Hi** <script>alert(1)</script>\n[x](https://a.b)"
    assert comment["bodyHtml"] == (
        "<p><strong>Hi</strong> &lt;script&gt;alert(1)&lt;/script&gt;<br>\n"
        '<a href="https://a.b" rel="nofollow noopener noreferrer">x</a></p>\n'
    )
    assert comment["bodyText"] == "Hi <script>alert(1)</script>\nx"
    assert comment["author"] == {"username": ada.username}
    assert comment["viewerCanEdit"]
    assert comment["viewerCanDelete"]


async def test_only_who_sees_the_task_is_mentioned(world: World) -> None:
    ada, bob, cy, stranger = await world.people(4)
    project = await world.project(ada, viewers=[bob])
    task = await world.task(ada, project_id=project.id)
    await world.share(task, cy)
    names = [one.username for one in (bob, cy, stranger)]
    body = f"@{names[0].upper()}, @{names[1]}, @{names[2]}, @nobody-at-all and @{names[0]}."
    reply = await write(world, ada, task, body)
    found = reply.good["commentCreate"]["comment"]["mentions"]
    assert [one["username"] for one in found] == sorted(names[:2])
    comment = reply.good["commentCreate"]["comment"]["id"]
    reply = await world.run(UPDATE, ada, input={"id": comment, "body": f"only @{names[1]}"})
    assert reply.good["commentUpdate"]["comment"]["mentions"] == [{"username": names[1]}]
    most = " ".join(f"@name{i}" for i in range(50))
    assert (await write(world, ada, task, most)).good
    many = " ".join(f"@name{i}" for i in range(51))
    assert failures(await write(world, ada, task, many)) == [("LIMIT_EXCEEDED", "input.body")]


async def test_however_many_names_are_looked_up_at_once(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, viewers=[bob])
    task = await world.task(ada, project_id=project.id)

    async def count(body: str) -> int:
        return len((await write(world, ada, task, body)).statements)

    without = await count("nobody is meant")
    crowd = " ".join(f"@name{i}" for i in range(30))
    # Who they are, keeping those found, and reading them for the answer.
    assert await count(f"@{bob.username} @{ada.username} {crowd}") == without + 3


async def test_an_edit_keeps_what_was_said(world: World) -> None:
    ada = await world.person()
    comment = await written(world, ada, await world.task(ada), "first")
    for version, body in enumerate(["second", "third"], 1):
        given = {"id": comment, "body": body, "ifVersion": version}
        reply = await world.run(UPDATE, ada, input=given)
    found = reply.good["commentUpdate"]["comment"]
    assert found["body"] == "third"
    assert found["editedAt"] is not None
    assert found["revisions"] == {"nodes": [{"body": "second"}, {"body": "first"}], "totalCount": 2}
    reply = await world.run(UPDATE, ada, input={"id": comment, "body": "x", "ifVersion": 1})
    assert reply.codes == ["CONFLICT"]
    assert reply.data["commentUpdate"]["comment"]["body"] == "third"
    assert reply.data["commentUpdate"]["errors"][0]["conflictingFields"] == ["body"]
    reply = await world.run(UPDATE, ada, input={"id": comment, "body": "third"})
    assert reply.good["commentUpdate"]["comment"]["revisions"]["totalCount"] == 2


async def test_a_deleted_comment_stays_as_a_place_while_it_has_answers(world: World) -> None:
    ada, bob = await world.people(2)
    task = await world.task(ada)
    await world.share(task, bob)
    top = await written(world, bob, task, f"hello @{ada.username}")
    assert (await world.run(UPDATE, bob, input={"id": top, "body": "secret"})).codes == []
    answer = await written(world, ada, task, "answer", parentId=top)
    reply = await world.run(DELETE, bob, input={"id": top})
    assert reply.good["commentDelete"]["comment"] == {"id": top, "isDeleted": True}
    assert reply.good["commentDelete"]["task"] == {"commentCount": 1}
    found = (await world.run(COMMENT, ada, id=top)).good["comment"]
    assert found == {
        "body": "",
        "bodyHtml": "",
        "bodyText": "",
        "isDeleted": True,
        "author": {"username": bob.username},
        "mentions": [],
        "revisions": {"totalCount": 0},
        "replies": {"nodes": [{"body": "answer"}], "totalCount": 1},
    }
    late = await write(world, ada, task, "too late", parentId=top)
    assert failures(late) == [("BAD_USER_INPUT", "input.parentId")]
    assert (await world.run(UPDATE, bob, input={"id": top, "body": "x"})).codes == ["NOT_FOUND"]
    reply = await world.run(DELETE, ada, input={"id": answer})
    assert reply.good["commentDelete"]["comment"] is None
    assert (await world.run(COMMENT, ada, id=top)).codes == ["NOT_FOUND"]


async def test_an_answer_and_a_deletion_at_once_leave_no_orphan(world: World) -> None:
    ada, bob = await world.people(2)
    task = await world.task(ada)
    await world.share(task, bob)
    for _ in range(5):
        top = await written(world, ada, task, "top")
        answered, deleted = await asyncio.gather(
            write(world, bob, task, "answer", parentId=top),
            world.run(DELETE, ada, input={"id": top}),
        )
        assert deleted.codes == []
        if answered.codes == []:
            assert deleted.data["commentDelete"]["comment"]["isDeleted"]
        else:
            assert answered.codes in (["NOT_FOUND"], ["BAD_USER_INPUT"])


async def test_who_may_read_write_change_and_delete(world: World) -> None:
    """The row of the table of rights, person by person."""
    owner, admin, editor, viewer, maker, assignee, bob, stranger = await world.people(8)
    project = await world.project(owner, admins=[admin], editors=[editor, maker], viewers=[viewer])
    task = await world.task(maker, project_id=project.id, assignee_id=assignee.id)
    await world.share(task, bob)
    seeing = [owner, admin, editor, viewer, maker, assignee, bob]
    comments = {who.id: await written(world, who, task, "mine") for who in seeing}
    assert failures(await write(world, stranger, task, "x")) == [("NOT_FOUND", "input.taskId")]
    theirs = comments[bob.id]
    for who in seeing:
        assert (await world.run(COMMENT, who, id=theirs)).good["comment"]["body"] == "mine"
        own = {"id": comments[who.id], "body": "changed"}
        assert (await world.run(UPDATE, who, input=own)).codes == []
    change = {"id": theirs, "body": "changed by another"}
    for who in seeing[:-1]:
        assert (await world.run(UPDATE, who, input=change)).codes == ["FORBIDDEN"]
    for who in (owner, admin, editor, viewer, assignee):
        assert (await world.run(DELETE, who, input={"id": theirs})).codes == ["FORBIDDEN"]
    for call, given in ((UPDATE, change), (DELETE, {"id": theirs})):
        assert (await world.run(call, stranger, input=given)).codes == ["NOT_FOUND"]
    assert (await world.run(COMMENT, stranger, id=theirs)).codes == ["NOT_FOUND"]
    assert (await world.run(COMMENT, stranger, id=missing(theirs))).codes == ["NOT_FOUND"]
    # The task's owner deletes any, an author their own.
    assert (await world.run(DELETE, maker, input={"id": theirs})).codes == []
    assert (await world.run(DELETE, viewer, input={"id": comments[viewer.id]})).codes == []


async def test_an_archived_project_takes_no_comments(world: World) -> None:
    ada = await world.person()
    project = await world.project(ada)
    task = await world.task(ada, project_id=project.id)
    comment = await written(world, ada, task, "before")
    async with world.database.session() as session, session.begin():
        (await session.get_one(models.Project, project.id)).archived_at = dt.datetime.now(dt.UTC)
    assert (await write(world, ada, task, "after")).codes == ["PROJECT_ARCHIVED"]
    assert (await world.run(UPDATE, ada, input={"id": comment, "body": "x"})).codes == [
        "PROJECT_ARCHIVED"
    ]
    assert (await world.run(DELETE, ada, input={"id": comment})).codes == ["PROJECT_ARCHIVED"]
    assert (await world.run(COMMENT, ada, id=comment)).good["comment"]["body"] == "before"


async def test_what_a_comment_may_not_be(world: World) -> None:
    ada = await world.person()
    task, other = await world.task(ada), await world.task(ada)
    top = await written(world, ada, task, "top")
    answer = await written(world, ada, task, "answer", parentId=top)
    cases: list[tuple[dict[str, Any], tuple[str, str]]] = [
        ({"body": "  \n "}, ("BAD_USER_INPUT", "input.body")),
        ({"body": "x" * 10_001}, ("BAD_USER_INPUT", "input.body")),
        ({"body": "a\x00b"}, ("BAD_USER_INPUT", "input.body")),
        ({"body": "x", "parentId": answer}, ("BAD_USER_INPUT", "input.parentId")),
        ({"body": "x", "parentId": missing(top)}, ("NOT_FOUND", "input.parentId")),
        ({"body": "x", "parentId": gid(task)}, ("BAD_USER_INPUT", "input.parentId")),
        ({"body": "x", "id": top}, ("ALREADY_EXISTS", "input.id")),
        ({"body": "x", "id": f"comment_{'0' * 32}"}, ("BAD_USER_INPUT", "input.id")),
    ]
    for given, wanted in cases:
        reply = await world.run(CREATE, ada, input={"taskId": gid(task), **given})
        assert failures(reply) == [wanted], given
    reply = await write(world, ada, other, "x", parentId=top)
    assert failures(reply) == [("BAD_USER_INPUT", "input.parentId")]
    assert (await world.run(THREADS, ada, id=gid(task))).good["task"]["commentCount"] == 2


async def test_a_comment_may_have_an_id_of_the_clients_making(world: World) -> None:
    ada = await world.person()
    own = f"comment_{fresh_id().hex}"
    assert await written(world, ada, await world.task(ada), "x", id=own) == own


async def test_the_log_tells_of_comments_without_their_words(world: World) -> None:
    ada, bob = await world.people(2)
    task = await world.task(ada)
    await world.share(task, bob)
    since = (await world.run("{ eventCursor }", bob)).good["eventCursor"]
    top = await written(world, ada, task, f"sesame @{bob.username}")
    await world.run(UPDATE, ada, input={"id": top, "body": "sesame"})
    await world.run(DELETE, ada, input={"id": top})
    reply = await world.run(EVENTS, bob, since=since)
    created, updated, deleted = reply.good["events"]["nodes"]
    assert [created["kind"], updated["kind"], deleted["kind"]] == [
        "COMMENT_CREATED",
        "COMMENT_UPDATED",
        "COMMENT_DELETED",
    ]
    assert created["changes"] == [{"field": "mentions", "added": [gid(bob)], "removed": []}]
    assert created["task"] == {"id": gid(task)}
    assert "sesame" not in reply.body.decode()


async def test_comments_of_many_tasks_are_one_statement(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, viewers=[bob])
    now = dt.datetime.now(dt.UTC)
    for task in await world.tasks(ada, [f"t{i}" for i in range(6)], project_id=project.id):
        for number in range(7):
            await world.rows(
                models.Comment(
                    id=fresh_id(),
                    task_id=task.id,
                    author_id=(ada, bob)[number % 2].id,
                    body=f"{task.title} {number}",
                    created_at=now + dt.timedelta(seconds=number),
                    updated_at=now,
                    version=1,
                )
            )
    query = (
        "{ projects(first: 20) { nodes { tasks(first: 20) { nodes { title commentCount "
        "comments(first: 5) { nodes { body author { username } } } } } } } }"
    )
    reply = await world.run(query, bob)
    (found,) = reply.good["projects"]["nodes"]
    for node in found["tasks"]["nodes"]:
        bodies = [comment["body"] for comment in node["comments"]["nodes"]]
        assert bodies == [f"{node['title']} {number}" for number in range(5)]
        assert node["commentCount"] == 7
    # Projects, tasks with their counts, comments, people.
    assert len(reply.statements) == 4


async def test_tasks_by_their_comments(world: World) -> None:
    ada = await world.person()
    quiet, busy = await world.tasks(ada, ["quiet", "busy"])
    await written(world, ada, busy, "the needle is here")
    await written(world, ada, busy, "and not here")
    await written(world, ada, quiet, "nothing")
    query = "query ($f: TaskFilter) { tasks(filter: $f) { nodes { title } } }"
    some = {"comments": {"some": {"search": "NEEDLE"}}}
    assert (await world.run(query, ada, f=some)).good["tasks"]["nodes"] == [{"title": "busy"}]
    none = {"comments": {"none": {"body": {"contains": "needle"}}}}
    assert (await world.run(query, ada, f=none)).good["tasks"]["nodes"] == [{"title": "quiet"}]
    ordered = "{ tasks(orderBy: [{commentCount: DESC}]) { nodes { title } } }"
    nodes = (await world.run(ordered, ada)).good["tasks"]["nodes"]
    assert [node["title"] for node in nodes] == ["busy", "quiet"]


async def test_comments_go_with_their_task(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada)
    comment = await written(world, ada, task, "x")
    delete = "mutation ($id: ID!) { taskDelete(input: {id: $id}) { errors { code } } }"
    assert (await world.run(delete, ada, id=gid(task))).codes == []
    assert (await world.run(COMMENT, ada, id=comment)).codes == ["NOT_FOUND"]
    async with world.database.session() as session, session.begin():
        await session.delete(await session.get_one(models.Task, task.id))
        await session.flush()
        left = select(func.count()).where(models.Comment.task_id == task.id)
        assert await session.scalar(left) == 0


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_was_not_rendered_yet_is_rendered_for_its_first_reader(
    world: World, engine: Engine
) -> None:
    (owner,) = await world.people(1)
    task = (await world.tasks(owner, ["old comments"]))[0]
    await world.rows(
        *(
            models.Comment(
                id=fresh_id(),
                task_id=task.id,
                author_id=owner.id,
                body=f"**{number}**",
                created_at=task.created_at + dt.timedelta(minutes=number),
                updated_at=task.created_at,
                # HTML of another version is not shown.
                body_html="<p>old</p>",
                rendered_version=number,
            )
            for number in (0, 99)
        )
    )
    query = (
        "query ($id: ID!) { task(id: $id) { comments { nodes { bodyHtml bodyText version } } } }"
    )
    written = []
    for _ in range(2):
        reply = await world.run(query, owner, engine=engine, id=gid(task))
        nodes = reply.good["task"]["comments"]["nodes"]
        assert [node["bodyHtml"] for node in nodes] == [
            f"<p><strong>{number}</strong></p>\n" for number in (0, 99)
        ]
        assert [node["bodyText"] for node in nodes] == ["0", "99"]
        assert [node["version"] for node in nodes] == [1, 1]
        written.append([one for one in reply.statements if one.startswith("UPDATE")])
    assert written[0]
    assert not written[1]


async def test_a_comment_and_what_is_shown_of_it_change_together(world: World) -> None:
    (owner,) = await world.people(1)
    task = (await world.tasks(owner, ["shown"]))[0]
    made = await world.run(CREATE, owner, input={"taskId": gid(task), "body": "*one*"})
    comment = made.good["commentCreate"]["comment"]
    assert comment["bodyHtml"] == "<p><em>one</em></p>\n"
    await world.run(UPDATE, owner, input={"id": comment["id"], "body": "**two**"})
    await world.run(
        CREATE, owner, input={"taskId": gid(task), "body": "x", "parentId": comment["id"]}
    )
    shown = await world.run(COMMENT, owner, id=comment["id"])
    assert shown.good["comment"]["bodyHtml"] == "<p><strong>two</strong></p>\n"
    assert not [one for one in shown.statements if one.startswith("UPDATE")]
    await world.run(DELETE, owner, input={"id": comment["id"]})
    shown = await world.run(COMMENT, owner, id=comment["id"])
    assert (shown.good["comment"]["bodyHtml"], shown.good["comment"]["bodyText"]) == ("", "")
