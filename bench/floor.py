"""The floor: the cost of the queries without GraphQL.

Bare ASGI, asyncpg, one statement per relation for all parents together, rows to dicts, one
`orjson.dumps`. No access rules, no validation. A server that reads the same rows from the same
database in Python can hardly do less, so Taskloom's target is a multiple of this.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson

_POOL = 10

_TASK = "SELECT id, title, status, priority, due_at, assignee_id FROM tasks WHERE id = $1"
_USER = "SELECT id, username, full_name FROM users WHERE id = $1"
_USERS = "SELECT id, username, full_name FROM users WHERE id = ANY($1)"
_PROJECT = "SELECT id, name FROM projects WHERE id = $1"
_BOARD = (
    "SELECT id, number, title, status, priority, due_at, tags, position, assignee_id FROM tasks "
    "WHERE project_id = $1 ORDER BY position, id LIMIT 100"
)
_WIDE = (
    "SELECT id, number, title, status, priority, due_at, start_at, estimate, created_at, "
    "version FROM tasks ORDER BY created_at DESC, id DESC LIMIT 1000"
)
_PROJECTS = "SELECT id, name, owner_id FROM projects ORDER BY created_at DESC, id DESC LIMIT 20"
_TASKS_OF = (
    "SELECT item.* FROM unnest($1::uuid[]) AS parent(id) CROSS JOIN LATERAL ("
    "SELECT project_id, id, title, status, assignee_id FROM tasks WHERE project_id = parent.id "
    "ORDER BY position, id LIMIT 20) AS item"
)
_COMMENTS_OF = (
    "SELECT item.* FROM unnest($1::uuid[]) AS parent(id) CROSS JOIN LATERAL ("
    "SELECT task_id, id, body, author_id FROM comments WHERE task_id = parent.id "
    "ORDER BY created_at, id LIMIT 5) AS item"
)
_CREATE = (
    "WITH numbered AS (UPDATE projects SET last_number = last_number + 1 WHERE id = $2 "
    "RETURNING last_number) "
    "INSERT INTO tasks (id, project_id, number, title, status, priority, position, owner_id, "
    "created_at, updated_at, version) "
    "SELECT $1, $2, last_number, $3, 10, $4, 'i0000000', $5, now(), now(), 1 FROM numbered "
    "RETURNING id, title, status, priority, version"
)


class Floor:
    """The ASGI application; its pool is open from startup to shutdown."""

    def __init__(self) -> None:
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._paths: Mapping[str, Callable[..., Any]] = {
            "/point": self._point,
            "/board": self._board,
            "/deep": self._deep,
            "/wide": self._wide,
            "/create": self._create,
        }
        self._user = UUID(os.environ["BENCH_USER"])
        with open(os.environ["BENCH_INTROSPECTION"], "rb") as file:  # noqa: PTH123
            self._introspection = file.read()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle a request, or the server's lifespan."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        message = await receive()
        if scope["path"] == "/introspection":
            body = self._introspection
        else:
            asked = orjson.loads(message["body"])
            body = orjson.dumps({"data": await self._paths[scope["path"]](**asked["variables"])})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        self._pool = await asyncpg.create_pool(
            os.environ["BENCH_DSN"],
            min_size=1,
            max_size=_POOL,
            statement_cache_size=200,
            max_cached_statement_lifetime=0,
            server_settings={"jit": "off"},
            reset=_keep,
        )
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._pool.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _fetch(self, statement: str, *arguments: Any) -> list[Any]:
        assert self._pool is not None
        async with self._pool.acquire() as connection:
            return await connection.fetch(statement, *arguments)

    async def _users(self, user_ids: Iterable[UUID | None]) -> dict[UUID | None, Any]:
        wanted = {user_id for user_id in user_ids if user_id is not None}
        return {row[0]: row for row in await self._fetch(_USERS, list(wanted))}

    async def _point(self, id: str) -> Any:  # noqa: A002
        (task,) = await self._fetch(_TASK, id)
        (user,) = await self._fetch(_USER, task[5])
        return {
            "task": {
                "id": str(task[0]),
                "title": task[1],
                "status": task[2],
                "priority": task[3],
                "dueAt": task[4],
                "assignee": {"id": str(user[0]), "username": user[1], "fullName": user[2]},
            }
        }

    async def _board(self, id: str) -> Any:  # noqa: A002
        (project,) = await self._fetch(_PROJECT, id)
        rows = await self._fetch(_BOARD, id)
        users = {
            user_id: {"id": str(row[0]), "username": row[1], "fullName": row[2]}
            for user_id, row in (await self._users(row[8] for row in rows)).items()
        }
        tasks = [
            {
                "id": str(row[0]),
                "number": row[1],
                "title": row[2],
                "status": row[3],
                "priority": row[4],
                "dueAt": row[5],
                "tags": row[6],
                "position": row[7],
                "assignee": users.get(row[8]),
            }
            for row in rows
        ]
        return {"project": {"id": str(project[0]), "name": project[1], "tasks": tasks}}

    async def _deep(self) -> Any:
        projects = await self._fetch(_PROJECTS)
        task_rows = await self._fetch(_TASKS_OF, [row[0] for row in projects])
        comment_rows = await self._fetch(_COMMENTS_OF, [row[1] for row in task_rows])
        wanted = {row[2] for row in projects}
        wanted.update(row[4] for row in task_rows)
        wanted.update(row[3] for row in comment_rows)
        users = {
            user_id: {"id": str(row[0]), "username": row[1]}
            for user_id, row in (await self._users(wanted)).items()
        }
        comments: dict[UUID, list[Any]] = {row[1]: [] for row in task_rows}
        for row in comment_rows:
            comments[row[0]].append({"id": str(row[1]), "body": row[2], "author": users[row[3]]})
        tasks: dict[UUID, list[Any]] = {row[0]: [] for row in projects}
        for row in task_rows:
            tasks[row[0]].append(
                {
                    "id": str(row[1]),
                    "title": row[2],
                    "status": row[3],
                    "assignee": users.get(row[4]),
                    "comments": comments[row[1]],
                }
            )
        return {
            "projects": [
                {"id": str(row[0]), "name": row[1], "owner": users[row[2]], "tasks": tasks[row[0]]}
                for row in projects
            ]
        }

    async def _wide(self) -> Any:
        return {
            "tasks": [
                {
                    "id": str(row[0]),
                    "number": row[1],
                    "title": row[2],
                    "status": row[3],
                    "priority": row[4],
                    "dueAt": row[5],
                    "startAt": row[6],
                    "estimate": row[7],
                    "createdAt": row[8],
                    "version": row[9],
                }
                for row in await self._fetch(_WIDE)
            ]
        }

    async def _create(self, projectId: str, title: str, priority: int) -> Any:  # noqa: N803
        (row,) = await self._fetch(_CREATE, uuid4(), projectId, title, priority, self._user)
        return {
            "task": {
                "id": str(row[0]),
                "title": row[1],
                "status": row[2],
                "priority": row[3],
                "version": row[4],
            }
        }


async def _keep(_: Any) -> None:
    """Replaces asyncpg's reset."""


def app() -> Floor:
    """For uvicorn's `--factory`."""
    return Floor()
