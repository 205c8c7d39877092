"""Who is asking (viewer, tokens, sessions, passwords) and what they may do (access)."""
