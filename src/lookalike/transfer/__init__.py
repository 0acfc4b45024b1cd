"""A collection into another store, and whether both are the same."""
