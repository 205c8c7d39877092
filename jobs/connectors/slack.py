"""Incoming webhooks of Slack, and of Mattermost, Rocket.Chat and others that follow it.

A message is a sentence in the simplest form of Block Kit, as plain text, so that no name or title
can notify a channel. Such a webhook cannot recognise a repeated message: if a worker is killed
between sending and recording it, the message is sent twice.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any
from uuid import UUID

import orjson

from errors import Failure
from jobs.connectors.base import Connection, Denied, Rejected, Trouble, Wait
from jobs.graph import graph_of, load
from jobs.outgoing import Answer, asked_wait

_DOCUMENT = "subscription { taskEvents { summary project { name } } }"
_FIELD = "taskEvents"
_MOST = 2_900  # of the 3,000 characters that a section may have
_PAUSE = dt.timedelta(seconds=30)
# Slack's answers if an address or its channel no longer exists.
_GONE = frozenset({401, 403, 404, 410})
_GONE_CODES = frozenset(
    {
        "action_prohibited",
        "channel_is_archived",
        "channel_not_found",
        "invalid_token",
        "no_active_hooks",
        "no_service",
        "no_service_id",
        "no_team",
        "posting_to_general_channel_denied",
        "team_disabled",
    }
)
_MOVED = frozenset({301, 308})
# Too slow, or too early: the message itself is not at fault.
_TRY_AGAIN = frozenset({408, 425})
_CODE = re.compile(r"[a-z_]{1,60}")
# Mattermost and Rocket.Chat notify people by `@name`; an invisible character prevents it.
_AT = re.compile(r"@(?=\w)")


class Slack:
    """See the module."""

    every: dt.timedelta | None = None

    def wants(self, settings: dict[str, Any], event: Any) -> str | None:
        """Each event of the chosen kinds is a message."""
        return str(event.id) if event.kind in settings["events"] else None

    async def sync(self, connection: Connection) -> bool:
        """There is nothing to fetch."""
        return False

    async def send(
        self, connection: Connection, event_id: UUID | None, task_id: UUID | None
    ) -> None:
        """Post the sentence, if the owner can still see what it is about."""
        await load()
        from graph.request.answer import Refused

        del task_id
        assert event_id is not None, "it tells of events alone"
        try:
            graph = graph_of(connection.context)
            answer = await graph.deliver(connection.owner, _DOCUMENT, event_id)
        except (Refused, Failure) as error:
            raise Trouble(f"The message could not be made: {error}") from None
        if answer is None:
            return
        found = (answer.values or {}).get(_FIELD)
        if found is None:
            raise Trouble("The message could not be made.")
        # The selection may be a fragment of JSON already.
        shown = orjson.loads(orjson.dumps(found))
        project = shown["project"]
        body = message(shown["summary"], None if project is None else project["name"])
        sent = await connection.request(
            "POST", connection.credentials, {"Content-Type": "application/json"}, body
        )
        meaning = _meaning(sent, connection.context.clock())
        if meaning is not None:
            raise meaning


def _meaning(sent: Answer, now: dt.datetime) -> Trouble | None:
    """What an answer says about the message, or the webhook; None on success."""
    status = sent.status
    if 200 <= status < 300:
        return None
    # Nothing else of the body is shown: it may repeat the address.
    named = sent.body[:100].decode("utf-8", "replace").strip()
    code = f"{status} {named}" if _CODE.fullmatch(named) else str(status)
    if status in _GONE or named in _GONE_CODES:
        return Denied(f"The channel's webhook is no longer valid: it answered {code}.")
    if status in _MOVED:
        return Denied(f"The channel's webhook has moved: it answered {code}.")
    wait = asked_wait(sent, now)
    if status == 429 or (status >= 500 and wait is not None):
        return Wait(wait or _PAUSE, "The channel received too many messages at once.")
    if 400 <= status < 500 and status not in _TRY_AGAIN:
        return Rejected(f"The channel's webhook rejected a message: it answered {code}.")
    return Trouble(f"The channel's webhook answered {code}.")


def message(sentence: str, project: str | None) -> bytes:
    """The body of a message: a sentence, and below it the project's name."""
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "plain_text", "text": sentence[:_MOST]}}
    ]
    if project is not None:
        line = {"type": "plain_text", "text": project[:_MOST]}
        blocks.append({"type": "context", "elements": [line]})
    return orjson.dumps({"text": _escaped(sentence[:_MOST]), "blocks": blocks})


def _escaped(text: str) -> str:
    """For the notification, whose text is marked up: `<!channel>` and `@all` notify nobody."""
    marked = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _AT.sub("@\u2060", marked)
