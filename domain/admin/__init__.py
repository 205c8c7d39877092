"""What administrators do with background jobs."""
