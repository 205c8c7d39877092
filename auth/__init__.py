"""Who sends a request (viewer, tokens, sessions, passwords) and what they can do (access)."""
