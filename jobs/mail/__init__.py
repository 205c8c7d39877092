"""Mail: its text (`compose`), its delivery (`sender`), and the jobs that send it."""
