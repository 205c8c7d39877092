"""Mail: what is written (`compose`), how it goes out (`sender`), and the jobs that do both."""
