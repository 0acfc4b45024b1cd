"""Vectors: metrics, exact nearest neighbours, votes, near-duplicates and projections, in NumPy alone."""
