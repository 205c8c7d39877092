"""Tasks and what belongs to them: comments, attachments, shares, reminders, tags."""
