"""Webhooks and connections to other services."""
