"""Stores: where collections live, named by a URL."""
