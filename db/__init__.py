"""The database: models, sessions for changes, compiled statements for reads, the embedded server."""
