"""Notifications and devices."""
