"""Tables and views of others that are read as collections: what they are, and how each database is asked."""
