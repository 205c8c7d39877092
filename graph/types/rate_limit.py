"""The cost of this request and the remaining budget."""

from __future__ import annotations

import datetime as dt

import strawberry

from graph.core.fields import BatchInfo, attribute, root


@strawberry.type(
    description=(
        "The budget of points that operations are charged to: per user, per API key or, signed "
        "out, per IP address. An operation costs 1 point, plus 1 point for every 50 objects "
        "that the answer can contain at most; docs/limits.md has the exact rules. Every answer "
        "carries the same figures in `extensions.cost` and in the `RateLimit` header."
    )
)
class RateLimit:
    """See `auth.limits.Budget`."""

    limit: int = attribute("The points per minute.")
    cost: int = attribute("The points charged for this operation.")
    remaining: int = attribute("The points left in this minute.")
    reset_at: dt.datetime = attribute("When the budget resets.")


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
    rate_limit: RateLimit | None = root(
        _rate_limit,
        "The cost of this operation and the remaining budget. No sign-in required. Null if "
        "nothing is charged, as in webhook payloads.",
    )
