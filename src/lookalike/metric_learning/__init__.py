"""Metric learning: a linear metric fitted to the labels of a collection."""
