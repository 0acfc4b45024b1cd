"""What is asked of a collection, and what counts as an answer."""
