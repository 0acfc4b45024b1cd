"""Transfer of collections between stores, and parity of their answers."""
