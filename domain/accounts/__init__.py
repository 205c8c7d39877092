"""Users, sessions, credentials and API keys."""
