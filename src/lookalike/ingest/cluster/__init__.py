"""Indexing on many machines: a driver lists in pages, and workers of a Ray cluster embed and write."""
