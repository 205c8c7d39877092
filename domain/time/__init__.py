"""Time entries, timers, reports, exports and imports."""
