"""Texts as the numbers that a model takes."""
