"""Background jobs: work that no request waits for."""
