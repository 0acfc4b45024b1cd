"""Elasticsearch's search requests: those that a store's own server answers, and those answered here."""
