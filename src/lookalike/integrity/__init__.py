"""Integrity checks of stores, caches and uploaded pictures, and their repair."""
