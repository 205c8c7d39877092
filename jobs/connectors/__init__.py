"""Connectors to other services, by kind of integration."""

from __future__ import annotations

from collections.abc import Mapping

from db.models import Connector as Kind
from jobs.connectors.base import Connector
from jobs.connectors.github import GitHub
from jobs.connectors.slack import Slack

CONNECTORS: Mapping[Kind, Connector] = {Kind.GITHUB: GitHub(), Kind.SLACK: Slack()}
