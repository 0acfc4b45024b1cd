"""Worker threads: embedding in batches, blocking calls, background jobs."""
