"""The database: models, sessions for changes, compiled reads, the embedded server."""
