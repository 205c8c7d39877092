"""Descriptions as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from domain import markdown
from graph.core.fields import BatchInfo, batch


async def _html(parents: Sequence[Any], _: BatchInfo) -> list[str | None]:
    return [
        None if parent.description is None else await markdown.html(parent.description)
        for parent in parents
    ]


def description_html(noun: str) -> Any:
    """The field `descriptionHtml` of a type whose rows have a `description`."""
    return batch(
        _html,
        f"The {noun}'s description as HTML that is safe to insert into a page; see "
        "`Comment.bodyHtml`.",
        requires=("description",),
    )
