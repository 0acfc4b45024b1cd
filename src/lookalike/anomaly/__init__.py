"""Anomalies: what in an image is like nothing in pictures of good parts, and where it lies."""
