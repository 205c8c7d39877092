"""Compares the server's answers to each user with the model."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from typing import Any

from auth.viewer import Viewer
from db import models
from graph.core import ids
from graph.request.preparation import GraphQLRequest
from tests.factories import Reply, fresh_id
from tests.rights.fixtures import Fixtures, Listener
from tests.rights.model import Model
from tests.rights.rules import Right

_IN_TRASH = {"TASK_DELETED", "PROJECT_DELETED"}

# `all: false` skips what is also read in another way; a sequence ends with `all: true`.
READ = """
query ($tasks: [ID!]!, $projects: [ID!]!, $others: [ID!]!, $since: String!, $all: Boolean!) {
  things: nodes(ids: $tasks) {
    ... on Task {
      id viewerCanEdit viewerCanDelete viewerCanShare
      project @include(if: $all) { id }
      parent @include(if: $all) { id }
      shares @include(if: $all) { totalCount nodes { id } }
      comments @include(if: $all) { totalCount nodes { id } }
    }
  }
  containers: nodes(ids: $projects) {
    ... on Project {
      id viewerCanEdit viewerCanDelete viewerCanShare: viewerCanManageMembers
      tasks(first: 100) @include(if: $all) { totalCount nodes { id } }
      stats @include(if: $all) { total }
    }
  }
  others: nodes(ids: $others) {
    ... on TaskShare { id viewerCanEdit viewerCanDelete }
    ... on Comment { id viewerCanEdit viewerCanDelete }
    ... on TimeEntry { id viewerCanEdit }
  }
  tasks(first: 100) { totalCount nodes { id } }
  inProjects: tasks(first: 100, filter: {project: {id: {in: $projects}}}) @include(if: $all) {
    totalCount nodes { id }
  }
  below: tasks(first: 100, filter: {parent: {id: {in: $tasks}}}) @include(if: $all) {
    totalCount nodes { id }
  }
  projects(first: 100) @include(if: $all) { totalCount nodes { id } }
  viewer @include(if: $all) { receivedShares(first: 100) { totalCount nodes { id } } }
  trash(first: 100) @include(if: $all) { totalCount nodes { ... on Node { id } } }
  deletedTasks: tasks(first: 100, filter: {isDeleted: true}) @include(if: $all) {
    totalCount nodes { id }
  }
  deletedProjects: projects(first: 100, filter: {isDeleted: true}) @include(if: $all) {
    totalCount nodes { id }
  }
  timeEntries(first: 100) @include(if: $all) { totalCount nodes { id } }
  taskStats { total sharedWithMe sharedByMe commentsPosted }
  events(after: $since, first: 100, filter: {kind: {in: [TASK_DELETED, PROJECT_DELETED]}}) {
    pageInfo { endCursor } nodes { id kind subjectId }
  }
}
"""
LISTEN = "subscription { taskEvents(filter: {kind: {eq: TASK_CREATED}}) { id kind subjectId } }"


class Comparison(Fixtures):
    """Compares rights, lists, counts, statistics and events of all users."""

    async def start(self) -> None:
        """Write the model's rows, and open a subscription for each user."""
        await self.write()
        self.use_both_access_paths()
        reply = await self.world.run("{ eventCursor }", Viewer(user_id=fresh_id()))
        self.cursors = dict.fromkeys(self.model.people, reply.good["eventCursor"])
        for person in sorted(self.model.people):
            listener = self.listeners[person] = Listener()
            self.listening.append(asyncio.create_task(self._listen(person, listener)))
        await asyncio.gather(*(one.ready.wait() for one in self.listeners.values()))

    # --- comparing -------------------------------------------------------------------------------

    async def compare(self, before: Model, *, all_lists: bool = False) -> None:
        """Compare everything that each user sees and may do, and the events that they received."""
        people = sorted(self.model.people)
        rights = self.model.rights()
        everything = all_lists or self.all_lists
        # One after the other: concurrently they would exceed the time limit of an operation.
        replies = [await self._read(person, everything) for person in people]
        lost = before.rights() - rights
        if self.lost_by_others is not None:
            gone = {
                r.thing
                for r in lost
                if r.person in people and r.verb == "see" and r.thing[0] == "t"
            }
            self.same("tasksLostByOthers", self.lost_by_others, len(gone))
            self.lost_by_others = None
        for person, reply in zip(people, replies, strict=True):
            held = {right for right in rights if right.person == person}
            self._compare_rights(person, held, reply)
            self._compare_lists(person, held, reply)
            gone = {
                right.thing
                for right in lost
                if right.person == person and right.verb == "see" and right.thing[0] in "tP"
            }
            self._compare_losses(person, gone, reply)

    async def _read(self, person: str, all_lists: bool) -> Any:
        groups: dict[str, list[str]] = {"tasks": [], "projects": [], "others": []}
        for name in self.names.values():
            groups[{"t": "tasks", "P": "projects"}.get(name[0], "others")].append(self.gid(name))
        values: dict[str, Any] = {"since": self.cursors[person], "all": all_lists, **groups}
        reply = await self.world.run(READ, self.viewers[person], **values)
        others = [error for error in reply.errors if error["extensions"]["code"] != "NOT_FOUND"]
        if others or reply.data is None:
            self.fail(f"{person} cannot read: {others}")
        self.cursors[person] = reply.data["events"]["pageInfo"]["endCursor"]
        return {**reply.data, **reply.data.get("viewer", {})}

    def _compare_rights(self, person: str, held: set[Right], data: Any) -> None:
        given = set()
        for node in (*data["things"], *data["containers"], *data["others"]):
            if node:
                name = self.names[node["id"]]
                given.add(Right(person, "see", name))
                for verb in ("edit", "delete", "share"):
                    if node.get(f"viewerCan{verb.title()}"):
                        given.add(Right(person, verb, name))
        # The schema has no `viewerCanDelete` for time entries.
        wanted = {right for right in held if (right.thing[0], right.verb) != ("e", "delete")}
        self.same(f"rights of {person}", given, wanted)

    def _compare_lists(self, person: str, held: set[Right], data: Any) -> None:
        model = self.model
        seen = {right.thing for right in held if right.verb == "see"}
        tasks = {name for name in seen if name[0] == "t"}
        projects = {name for name in seen if name[0] == "P"}
        active = {key for key in seen if key[0] == "s" and not model.shares[key].expired}
        wanted = {
            "tasks": tasks,
            "inProjects": {name for name in tasks if model.tasks[name].project in projects},
            "below": {name for name in tasks if model.tasks[name].parent in tasks},
            "projects": projects,
            "receivedShares": {key for key in active if model.shares[key].person == person},
            "timeEntries": {name for name in seen if name[0] == "e"},
            "trash": model.trash(person),
            "deletedTasks": {name for name in model.trash(person) if name[0] == "t"},
            "deletedProjects": {name for name in model.trash(person) if name[0] == "P"},
        }
        for field_, names in wanted.items():
            if field_ in data:
                self._same_list(f"{field_} of {person}", data[field_], names)
        if "projects" in data:
            self._compare_inner(person, seen, data)
        stats = {
            "total": len(tasks),
            "sharedWithMe": len(wanted["receivedShares"]),
            "sharedByMe": len(
                {s.task for s in model.shares.values() if s.by == person and s.task in tasks}
            ),
            "commentsPosted": sum(
                c.author == person and c.task in tasks for c in model.comments.values()
            ),
        }
        self.same(f"taskStats of {person}", data["taskStats"], stats)

    def _compare_inner(self, person: str, seen: set[str], data: Any) -> None:
        """Compare the lists and relations of each project and task."""
        model = self.model
        tasks = {name for name in seen if name[0] == "t"}
        projects = {name for name in seen if name[0] == "P"}
        for node in filter(None, data["containers"]):
            name = self.names[node["id"]]
            inside = {one for one in tasks if model.tasks[one].project == name}
            self._same_list(f"{name}.tasks of {person}", node["tasks"], inside)
            self.same(f"{name}.stats of {person}", node["stats"]["total"], len(inside))
        for node in filter(None, data["things"]):
            name = self.names[node["id"]]
            for field_, end, visible in (
                ("project", model.tasks[name].project, projects),
                ("parent", model.tasks[name].parent, tasks),
            ):
                shown = node[field_] and self.names[node[field_]["id"]]
                self.same(f"{name}.{field_} of {person}", shown, end if end in visible else None)
            shares = {key for key in seen if key[0] == "s" and model.shares[key].task == name}
            self._same_list(f"{name}.shares of {person}", node["shares"], shares)
            comments = {key for key in seen if key[0] == "c" and model.comments[key].task == name}
            self._same_list(f"{name}.comments of {person}", node["comments"], comments)

    def _same_list(self, what: str, page: Any, names: set[str]) -> None:
        self.same(what, self.named(page["nodes"]), names)
        self.same(f"totalCount of {what}", page["totalCount"], len(names))

    def _compare_losses(self, person: str, gone: set[str], data: Any) -> None:
        events = data["events"]["nodes"]
        told = Counter(
            self.names[event["subjectId"]] for event in events if event["kind"] == "ACCESS_LOST"
        )
        self.losses[person] += [event["id"] for event in events if event["kind"] == "ACCESS_LOST"]
        deleted = Counter(
            self.names[event["subjectId"]] for event in events if event["kind"] in _IN_TRASH
        )
        # What goes to the trash has an event of its own, and nothing else is announced about it.
        trashed = {thing for thing in gone if self.model.in_trash(thing)}
        self.same(f"deletions told to {person}", set(deleted), trashed)
        self.same(f"ACCESS_LOST of {person}", set(told), gone - trashed)
        if max([*told.values(), *deleted.values()], default=1) > 1:
            self.fail(f"{person} was told more than once: {told} {deleted}")

    # --- live ------------------------------------------------------------------------------------

    async def _listen(self, person: str, listener: Listener) -> None:
        services = self.world.services
        executor = self.world.executors["batch"]
        request = self.world.request()

        context = services.context(self.viewers[person], request)

        async def current() -> Viewer:
            return self.viewers[person]

        prepared = await executor.prepare(GraphQLRequest(query=LISTEN), request_id=request.id)
        stream = await executor.subscribe(prepared, context, current)
        listener.ready.set()
        async with aclosing(stream):
            async for answer in stream:
                reply = Reply.of(answer.body())
                listener.events.append(reply.good["taskEvents"])
                listener.news.set()

    async def compare_live(self, person: str) -> None:
        """Compare the subscriptions, once a last event shows that all earlier ones have arrived."""
        listener = self.listeners[person]
        last = ids.encode(models.Task, fresh_id())
        await self.mutate(person, "taskCreate", title="last", id=last)
        async with asyncio.timeout(20):
            while not any(event["subjectId"] == last for event in listener.events):
                listener.news.clear()
                await listener.news.wait()
        lost = [event["id"] for event in listener.events if event["kind"] == "ACCESS_LOST"]
        self.same(f"ACCESS_LOST in the subscription of {person}", lost, self.losses[person])

    async def close(self) -> None:
        """Close the subscriptions."""
        for task in self.listening:
            task.cancel()
        await asyncio.gather(*self.listening, return_exceptions=True)

    async def mutate(
        self, actor: str, mutation: str, result: str = "", /, **values: Any
    ) -> tuple[set[str], Any]:
        """Run a mutation; returns the codes of all errors, and the payload."""
        input_ = {key: value for key, value in values.items() if value is not ...}
        query = (
            f"mutation ($input: {mutation[0].upper()}{mutation[1:]}Input!) "
            f"{{ {mutation}(input: $input) {{ {result} errors {{ code path message }} }} }}"
        )
        reply = await self.world.run(query, self.viewers[actor], input=input_)
        self.story[-1] += f"  {[e['message'] for e in reply.errors + reply.user_errors] or ''}"
        return set(reply.codes), (reply.data or {}).get(mutation)
