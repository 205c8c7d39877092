"""For administrators: users and background jobs."""
