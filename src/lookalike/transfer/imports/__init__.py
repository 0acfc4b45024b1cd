"""Vectors that others computed, read from their files and kept as records."""
