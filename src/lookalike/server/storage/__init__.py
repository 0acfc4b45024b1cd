"""Image files that are served, and those that were uploaded."""
