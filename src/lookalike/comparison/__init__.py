"""Comparison of embedders, metrics and numbers of neighbours on the images of a collection."""
