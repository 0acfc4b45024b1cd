"""Collections in Elasticsearch."""
