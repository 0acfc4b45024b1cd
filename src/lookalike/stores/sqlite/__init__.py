"""Collections in one SQLite file."""
