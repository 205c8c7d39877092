"""The event log: kinds, cursors, reading, live delivery, and the bus that announces new events."""
