"""Which service delivers to a device: FCM, or the browser's own."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable

from db.models import Device
from jobs.push.fitting import PushMessage
from jobs.push.service import NoPush, Push
from settings import Settings


class Services(Push):
    """Both services, if configured."""

    def __init__(self, apps: Push, browsers: Push) -> None:
        self._apps = apps
        self._browsers = browsers

    def _of(self, device: Device) -> Push:
        return self._apps if device.p256dh is None else self._browsers

    def destination(self, device: Device) -> str:
        return self._of(device).destination(device)

    async def send(self, device: Device, message: PushMessage) -> None:
        await self._of(device).send(device, message)

    async def close(self) -> None:
        for service in (self._apps, self._browsers):
            await service.close()


def make_push(settings: Settings, clock: Callable[[], dt.datetime]) -> Push:
    """The configured services."""
    apps: Push = NoPush()
    browsers: Push = NoPush()
    if settings.push.credentials is not None:
        from jobs.push.fcm import Fcm

        account = json.loads(settings.push.credentials.read_text())
        apps = Fcm(account, settings.push.url, clock)
    if settings.push.vapid_private_key is not None:
        from jobs.push.web import WebPush

        browsers = WebPush(settings, clock)
    return Services(apps, browsers)
