"""Ingest: images and their labels become records of a collection."""
