"""Tasks, comments, attachments, shares, reminders, tags and statistics."""
