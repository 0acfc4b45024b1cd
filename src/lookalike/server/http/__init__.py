"""Request bodies, responses, headers and problem details."""
