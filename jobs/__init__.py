"""Background work: what happens without anybody asking for it."""
