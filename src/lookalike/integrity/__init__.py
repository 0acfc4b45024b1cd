"""Whether what is kept is what was written: stores, caches and added pictures; and mending it."""
