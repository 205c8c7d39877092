"""Rate limits, and the budget of cost points.

Both are counted in Redis if it is configured, so that all processes count together (the rates with
the `limits` library), otherwise in this process.

- *Rates* (`take`): logins, registrations and uploads per minute or hour, in a moving window, so
  that no one gets twice as many around the full hour. Refused attempts do not count.
- *The budget* (`spend`): points per minute. Each API operation is charged, so this rarely waits for
  Redis (`auth.shared_budget`). The window is the minute of the clock, the same for everyone.

Each process also counts for itself, and refuses what it has counted too often. So while Redis is
unreachable, or after it came back empty, a login neither fails nor is unlimited because of it.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import math
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, NamedTuple, TypeVar

from limits import RateLimitItem, parse_many
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter

from auth.limit_store import ProcessCounts, Window
from auth.request import RequestInfo
from auth.shared_budget import SharedBudget
from auth.viewer import Viewer
from db import redis
from errors import RateLimited
from settings import Settings

T = TypeVar("T")
BUDGET_SECONDS: Final = 60
_REDIS_SECONDS: Final = 1.0


class Rate(Enum):
    """What is counted. The value is the name of its setting in `settings.limits`."""

    LOGIN_OF_ACCOUNT = "login_account"
    LOGIN_FROM_ADDRESS = "login_address"
    REGISTRATION = "registration"
    ACCOUNT_MAIL = "account_mail"
    TASK_CREATION = "task_creation"
    UPLOAD = "uploads"


_SENTENCES: Final = {
    Rate.LOGIN_OF_ACCOUNT: "Too many attempts to sign in to this account",
    Rate.LOGIN_FROM_ADDRESS: "Too many attempts to sign in from your address",
    Rate.REGISTRATION: "Too many registrations from your address",
    Rate.ACCOUNT_MAIL: "Too many requests for mail of this kind",
    Rate.TASK_CREATION: "Too many new tasks",
    Rate.UPLOAD: "Too many uploads",
}


class Budget(NamedTuple):
    """The rest of one minute's budget. `charged` is what this operation used."""

    limit: int
    remaining: int
    charged: int
    # When the budget resets: in seconds since the epoch, in RFC 3339, and in whole seconds from
    # now, at least one.
    reset_at: int
    reset_text: str
    reset_seconds: int
    exceeded: bool


class Limits:
    """One per process."""

    def __init__(self, settings: Settings, clock: Callable[[], dt.datetime]) -> None:
        self._clock = clock
        self._budget = settings.limits.cost_budget
        self._items: dict[Rate, list[RateLimitItem]] = {
            rate: rates_of(getattr(settings.limits, rate.value)) for rate in Rate
        }
        self._local = ProcessCounts()
        self._shared: RedisStorage | None = None
        self._moving_shared: MovingWindowRateLimiter | None = None
        self._client: Any = None
        # The current minute, and its end as text.
        self._minute = 0
        self._reset_text = ""
        self._points: SharedBudget | None = None
        self._availability: redis.Availability | None = None
        if settings.redis.url is not None:
            self._client = redis.connect(
                settings.redis.url,
                socket_connect_timeout=_REDIS_SECONDS,
                socket_timeout=_REDIS_SECONDS,
            )
            self._availability = redis.Availability(self._client, "limits are counted per process")
            self._points = SharedBudget(
                self._client,
                self._availability,
                f"{settings.redis.prefix}points:",
                budget=self._budget,
                seconds=2 * BUDGET_SECONDS,
            )
            self._shared = RedisStorage(
                # The connections are ours; the library only looks at the URL's scheme.
                "async+redis://",
                implementation="redispy",
                key_prefix=f"{settings.redis.prefix}limits",
                connection_pool=self._client.connection_pool,
            )
            self._moving_shared = MovingWindowRateLimiter(self._shared)

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._points is not None:
            await self._points.close()
        if self._availability is not None:
            await self._availability.close()
        if self._client is not None:
            await self._client.aclose()

    # --- rates -----------------------------------------------------------------------------------

    async def take(self, rate: Rate, key: str, amount: int = 1) -> None:
        """Count `amount` events for `key`. Raises `RateLimited` if one of the limits is reached."""
        for item in self._items[rate]:
            await self._take(rate, item, key, amount)

    async def _take(self, rate: Rate, item: RateLimitItem, key: str, amount: int) -> None:
        window = Window(rate.value, key, item.amount, item.get_expiry())
        now = self._clock().timestamp()
        full_until = None
        if self._moving_shared is not None:
            # First a look: an attempt that is refused here does not count there.
            full_until = self._local.full_until(window, amount, now)
            if full_until is None:
                full_until = await self._shared_full_until(item, rate, key, amount)
        if full_until is None:
            full_until = self._local.take(window, amount, now)
        if full_until is not None:
            raise RateLimited(
                f"{_SENTENCES[rate]}: {item.amount:,} are allowed in {_span(window.seconds)}.",
                retry_after=min(max(math.ceil(full_until - now), 1), window.seconds),
            )

    async def _shared_full_until(
        self, item: RateLimitItem, rate: Rate, key: str, amount: int
    ) -> float | None:
        """Count in Redis if it is there: None, or when there is room again."""
        shared, availability = self._moving_shared, self._availability
        if shared is None or availability is None or availability.away:
            return None
        try:
            if await shared.hit(item, rate.value, key, cost=amount):
                return None
            return (await shared.get_window_stats(item, rate.value, key)).reset_time
        except redis.failures() as error:
            availability.failed(error)
            return None

    # --- the budget ------------------------------------------------------------------------------

    async def spend(self, who: str, points: int, now: dt.datetime) -> Budget:
        """Charge points. If not enough are left, `exceeded` is true and nothing is charged. With 0
        points, only read the budget.
        """
        seconds = now.timestamp()
        minute = int(seconds // BUDGET_SECONDS)
        if minute != self._minute:
            self._minute = minute
            end = dt.datetime.fromtimestamp((minute + 1) * BUDGET_SECONDS, dt.UTC)
            self._reset_text = end.isoformat().replace("+00:00", "Z")
        key = f"cost/{who}/{minute}"
        spent = await self._add(key, points, seconds)
        exceeded = spent > self._budget and points > 0
        if exceeded:
            # Given back, so that a smaller operation can still fit.
            spent = await self._add(key, -points, seconds)
            points = 0
        reset_at = (minute + 1) * BUDGET_SECONDS
        return Budget(
            self._budget,
            max(self._budget - spent, 0),
            points,
            reset_at,
            self._reset_text,
            max(math.ceil(reset_at - seconds), 1),
            exceeded,
        )

    async def _add(self, key: str, points: int, now: float) -> int:
        if self._points is None:
            return self._local.add(key, BUDGET_SECONDS, points, now)
        return await self._points.add(key, points)


def rates_of(text: str) -> list[RateLimitItem]:
    """Parse a setting such as `5/minute;20/hour`; `unlimited` has no rates. Raises `ValueError`."""
    return [] if text == "unlimited" else list(parse_many(text))


def address_of(request: RequestInfo) -> str:
    """The key of the client's address. An IPv6 address counts as its /64 network, since one client
    can have all 2^64 addresses in it.
    """
    try:
        address = ipaddress.ip_address(request.ip or "")
    except ValueError:
        return request.ip or "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def payer(viewer: Viewer, request: RequestInfo) -> str:
    """The budget that an operation is charged to: the API key's, the user's or the address's."""
    if viewer.api_key_id is not None:
        return f"key:{viewer.api_key_id.hex}"
    if viewer.user_id is not None:
        return f"user:{viewer.user_id.hex}"
    return f"address:{address_of(request)}"


def _span(seconds: int) -> str:
    for one, many, length in (
        ("a day", "days", 86_400),
        ("an hour", "hours", 3_600),
        ("a minute", "minutes", 60),
    ):
        count, rest = divmod(seconds, length)
        if count and not rest:
            return one if count == 1 else f"{count} {many}"
    return f"{seconds} seconds"
