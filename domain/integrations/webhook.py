"""Webhooks: what their owners do with them. `domain.integrations.webhook_delivery` has the
deliveries.

A secret exists only in the answer of the mutation that created it and, encrypted, in the database.
During a rotation both the old and the new secret sign every request, so that the receiver can
switch at any time in the overlap. Another rotation does not change the overlap of earlier ones.
"""

from __future__ import annotations

import base64
import datetime as dt
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy import delete as delete_rows

from auth.encryption import Encryption
from db.models import Webhook, WebhookDelivery, WebhookStatus
from domain import locks, rules
from domain.accounts.by_key import demand_live_key, key_after
from domain.integrations import addresses, webhook_delivery
from domain.work import Work
from errors import BadInput, ErrorCode, Failure, check, collecting, refuse
from events.kinds import EventKind

MAX_WEBHOOKS = 50
MAX_OLD_SECRETS = 4
SECRET_BYTES = 32
SECRET_PREFIX = "whsec_"  # noqa: S105 - how every secret begins
# Seconds.
MAX_OVERLAP = 7 * 24 * 3600
REPLAY_JOB = "webhook.replay"

# Fields whose old and new values are logged.
_LOGGED = ("name", "filter", "payload", "status")
# What an update may name.
CHANGEABLE = frozenset({"url", *_LOGGED})
_BY_OWNER = "Its owner disabled it."


@dataclass(frozen=True, slots=True)
class Receivers:
    """The addresses that the operator allows. `plain` allows http://, as in development."""

    networks: Sequence[addresses.Network]
    plain: bool

    def check(self, url: str | None) -> str:
        """Check a URL and return it. Raises `BadInput`."""
        if url is None:
            return ""
        addresses.check_new(url, self.networks, plain=self.plain, path=("url",))
        return url


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """`name`: None for the URL's host. `filter`: as it is stored. `payload`: None for the default
    one.
    """

    url: str
    name: str | None = None
    filter: Mapping[str, Any] | None = None
    payload: str | None = None


def new_secret() -> str:
    """A new secret in the form that its owner gets."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


async def create(
    work: Work, encryption: Encryption, receivers: Receivers, new: NewWebhook
) -> tuple[Webhook, str]:
    """Create a webhook for the viewer. Returns it with its secret, which is not shown again.

    Filter and payload are validated in `graph.types.integrations.webhook`.
    """
    user_id = work.viewer.require()
    url, name = receivers.check(new.url), _name(new.name)
    await locks.lock_owner(work)
    count = await work.session.scalar(
        select(func.count()).select_from(Webhook).where(Webhook.user_id == user_id)
    )
    if (count or 0) >= MAX_WEBHOOKS:
        raise Failure(
            f"You have {MAX_WEBHOOKS} webhooks, the most allowed; delete one first.",
            code=ErrorCode.LIMIT_EXCEEDED,
            limit=MAX_WEBHOOKS,
            actual=count,
        )
    secret = new_secret()
    webhook = Webhook(
        id=work.new_id(),
        created_at=work.now,
        updated_at=work.now,
        version=1,
        user_id=user_id,
        api_key_id=work.viewer.api_key_id,
        name=name or addresses.parse(url).authority,
        url=url,
        filter=None if new.filter is None else dict(new.filter),
        payload=new.payload,
        status=WebhookStatus.ACTIVE,
        secret=encryption.encrypt(secret.encode()),
    )
    work.session.add(webhook)
    host = addresses.parse(new.url).authority
    work.record(EventKind.WEBHOOK_CREATED, webhook, [("url", None, host)], audience=[user_id])
    webhook.since_position = await work.write_events()
    await work.session.flush()
    return webhook, secret


async def change(
    work: Work,
    receivers: Receivers,
    webhook_id: UUID,
    values: Mapping[str, Any],
    if_version: int | None,
    *,
    take_over: bool = False,
) -> Webhook:
    """Change those of `url`, `name`, `filter`, `payload` and `status` that are given.

    Without a name of its own (None), a webhook is named by the host of its URL.
    A webhook that is enabled again sends events from then on; `replay` sends what it missed. The
    API key that changes a webhook becomes its key; `take_over` gives it back to its owner.
    """
    wanted = dict(values)
    if "url" in wanted:
        receivers.check(rules.not_null(wanted["url"], ("url",)))
    if "status" in wanted:
        rules.not_null(wanted["status"], ("status",))
    if "name" in wanted:
        wanted["name"] = _name(wanted["name"])
    webhook = await work.editable(Webhook, webhook_id)
    key_id = await key_after(work, webhook, take_over=take_over)
    passed_on = key_id != webhook.api_key_id
    wanted["api_key_id"] = key_id
    status = wanted.get("status", webhook.status)
    if status is not webhook.status:
        off = status is WebhookStatus.DISABLED
        wanted["disabled_reason"] = _BY_OWNER if off else None
        wanted["disabled_at"] = work.now if off else None
        wanted["failing_since"] = None
    if status is WebhookStatus.ACTIVE:
        await demand_live_key(work, key_id, ("take_over",))
    old_host = addresses.parse(webhook.url).authority
    derived = ["api_key_id"]
    if "name" not in wanted and webhook.name == old_host:
        # A name that was not chosen follows the URL.
        wanted["name"] = None
        derived.append("name")
    if "name" in wanted and wanted["name"] is None:
        wanted["name"] = addresses.parse(wanted.get("url", webhook.url)).authority
    changes = work.apply(webhook, wanted, if_version=if_version, ref="webhook", ignore=derived)
    told = [entry for entry in changes if entry[0] in _LOGGED]
    if any(name == "url" for name, _, _ in changes):
        # Only the host of the URL, since many URLs have a secret in their path.
        told.append(("url", old_host, addresses.parse(webhook.url).authority))
    if changes or passed_on:
        work.record(EventKind.WEBHOOK_UPDATED, webhook, told, audience=[webhook.user_id])
        if wanted.get("status") is WebhookStatus.ACTIVE and "disabled_at" in wanted:
            webhook.since_position = await work.write_events()
    if webhook.status is WebhookStatus.DISABLED:
        await webhook_delivery.skip_pending(work, webhook.id, "The webhook is disabled.")
    await work.session.flush()
    return webhook


async def delete(work: Work, webhook_id: UUID, if_version: int | None = None) -> UUID:
    """Delete a webhook; nothing more is sent. A job deletes its deliveries, which nobody sees."""
    webhook = await work.deletable(Webhook, webhook_id)
    work.check_version(webhook, if_version, fields=[], ref="webhook")
    work.record(EventKind.WEBHOOK_DELETED, webhook, audience=[webhook.user_id])
    await work.session.flush()
    await _delete(work, Webhook.id == webhook.id)
    return webhook_id


def valid_old_secrets(webhook: Webhook, now: dt.datetime) -> list[tuple[bytes, dt.datetime]]:
    """The previous secrets (encrypted) that still sign, and until when."""
    former = zip(webhook.old_secrets, webhook.old_secrets_until, strict=True)
    return [(secret, until) for secret, until in former if now < until]


async def rotate_secret(
    work: Work,
    encryption: Encryption,
    webhook_id: UUID,
    overlap: int,
    if_version: int | None = None,
) -> tuple[Webhook, str]:
    """Create a new secret for a webhook; the old one also signs for the given seconds.

    Secrets of earlier rotations keep their end, except without an overlap: then all of them end at
    once. At most four previous secrets can be valid.
    """
    overlap = rules.whole_number(overlap, ("overlap",), least=0, most=MAX_OVERLAP) or 0
    webhook = await work.editable(Webhook, webhook_id)
    secret = new_secret()
    until = work.now + dt.timedelta(seconds=overlap)
    former = [(webhook.secret, until), *valid_old_secrets(webhook, work.now)]
    if overlap == 0:
        former = []
    values = {
        "api_key_id": await key_after(work, webhook, take_over=False),
        "old_secrets": [sealed for sealed, _ in former],
        "old_secrets_until": [end for _, end in former],
        "secret": encryption.encrypt(secret.encode()),
    }
    work.check_version(webhook, if_version, fields=(), ref="webhook")
    if len(former) > MAX_OLD_SECRETS:
        raise Failure(
            f"{MAX_OLD_SECRETS} previous secrets are still valid, the most allowed; wait until "
            "one ends, or end all of them with overlap: 0.",
            code=ErrorCode.LIMIT_EXCEEDED,
            limit=MAX_OLD_SECRETS,
            actual=MAX_OLD_SECRETS,
        )
    work.apply(webhook, values)
    told = [("secret_rotated_until", None, until)]
    work.record(EventKind.WEBHOOK_UPDATED, webhook, told, audience=[webhook.user_id])
    await work.session.flush()
    return webhook, secret


async def test(work: Work, webhook_id: UUID) -> UUID:
    """Send a single test event regardless of the filter. Returns the delivery's ID.

    A disabled webhook can be tested too, so that its owner knows whether to enable it.
    """
    webhook = await work.editable(Webhook, webhook_id)
    event_id = work.record(EventKind.WEBHOOK_TESTED, webhook, audience=[webhook.user_id])
    (delivery_id,) = await webhook_delivery.add(work, [(webhook.id, event_id)], is_test=True)
    return delivery_id


async def retry(work: Work, delivery_id: UUID) -> UUID:
    """Send a delivery again at once, whatever its state; the retry schedule starts over."""
    delivery = await work.editable(WebhookDelivery, delivery_id)
    webhook = await work.session.get_one(Webhook, delivery.webhook_id)
    if not delivery.is_test:
        _demand_active(webhook)
    await webhook_delivery.again(work, delivery.id)
    return delivery.id


async def replay(
    work: Work,
    webhook_id: UUID,
    start: dt.datetime,
    end: dt.datetime,
    *,
    only_failed: bool = False,
) -> Webhook:
    """Send the events of a period again: those that were sent and those that were missed, or only
    those whose deliveries have failed (`webhook_delivery.count_failed`).
    """
    with collecting():
        rules.moment(start, ("after",))
        rules.moment(end, ("before",))
    if start >= end:
        refuse(BadInput("`after` must be before `before`.", path=("after",)))
    elif start < work.now - webhook_delivery.KEPT:
        days = webhook_delivery.KEPT.days
        refuse(BadInput(f"`after` must be within the last {days} days.", path=("after",)))
    webhook = await work.editable(Webhook, webhook_id)
    _demand_active(webhook)
    payload = {
        "webhook": webhook.id,
        "from": start,
        "to": min(end, work.now),
        "only_failed": only_failed,
    }
    await work.enqueue(REPLAY_JOB, payload)
    return webhook


async def delete_all(work: Work, user_id: UUID) -> None:
    """Delete all webhooks of a user whose account is deleted."""
    await _delete(work, Webhook.user_id == user_id)


async def _delete(work: Work, which: ColumnElement[bool]) -> None:
    ids = await work.session.scalars(delete_rows(Webhook).where(which).returning(Webhook.id))
    jobs = [({"webhook": id_}, None) for id_ in ids]
    await work.enqueue_all(webhook_delivery.DELETE_JOB, jobs)


async def reencrypt(work: Work, encryption: Encryption) -> int:
    """Encrypt every secret again with the first key. Returns the number of webhooks."""
    webhooks = list(await work.session.scalars(select(Webhook).with_for_update()))
    for webhook in webhooks:
        webhook.secret = encryption.reencrypt(webhook.secret)
        webhook.old_secrets = [encryption.reencrypt(old) for old in webhook.old_secrets]
    return len(webhooks)


def _demand_active(webhook: Webhook) -> None:
    if webhook.status is not WebhookStatus.ACTIVE:
        raise BadInput("The webhook is disabled; enable it first.", path=("id",))


@check()
def _name(name: str | None) -> str | None:
    return None if name is None else rules.text(name, ("name",), least=1, most=100)
