"""Approximate search in a SQLite store: a shortlist of candidates, beside the database."""
