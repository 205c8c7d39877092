"""What this request cost, and what is left of the budget."""

from __future__ import annotations

import datetime as dt

import strawberry

from graph.core.fields import BatchInfo, attribute, root


@strawberry.type(
    description="The budget of points that operations are charged to: your own, your API key's "
    "or, signed out, your address's. An operation costs 1 point, and 1 more for every 50 objects "
    "that its answer may hold at most; docs/limits.md tells it exactly. The same stands in "
    "`extensions.cost` of every answer, and in the header `RateLimit`."
)
class RateLimit:
    """See `auth.limits.Budget`."""

    limit: int = attribute("Points for one minute.")
    cost: int = attribute("What this operation was charged.")
    remaining: int = attribute("What is left of this minute's points.")
    reset_at: dt.datetime = attribute("When the next minute's points are there.")


async def _rate_limit(info: BatchInfo) -> RateLimit | None:
    budget = info.context.budget
    if budget is None:
        return None
    return RateLimit(
        limit=budget.limit,
        cost=budget.charged,
        remaining=budget.remaining,
        reset_at=dt.datetime.fromtimestamp(budget.reset_at, dt.UTC),
    )


@strawberry.type
class RateLimitQuery:
    """Root fields."""

    rate_limit: RateLimit | None = root(
        _rate_limit,
        "What this operation cost, and what is left. For everybody. Null where nothing is "
        "charged, as for the payload of a webhook.",
    )
