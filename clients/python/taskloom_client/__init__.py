"""A client for the Taskloom API.

    from taskloom_client import Taskloom

    with Taskloom("http://127.0.0.1:8000", key="tl_…") as api:
        for task in api.pages(TASKS, "tasks"):
            print(task["identifier"])

`AsyncTaskloom` has the same methods for asyncio.
"""

from taskloom_client.aio import AsyncTaskloom
from taskloom_client.client import Taskloom
from taskloom_client.errors import (
    Conflict,
    CursorExpired,
    NotFound,
    Problem,
    SignInAgain,
    TaskloomError,
)
from taskloom_client.lists import LiveList
from taskloom_client.protocol import Tokens
from taskloom_client.webhooks import WebhookRefused, verified

__all__ = [
    "AsyncTaskloom",
    "Conflict",
    "CursorExpired",
    "LiveList",
    "NotFound",
    "Problem",
    "SignInAgain",
    "Taskloom",
    "TaskloomError",
    "Tokens",
    "WebhookRefused",
    "verified",
]
