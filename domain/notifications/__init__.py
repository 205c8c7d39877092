"""Notifications, their preferences and the devices that receive them."""
