"""The event log: kinds, cursors, reading, the bus that says "there is something", live delivery."""
