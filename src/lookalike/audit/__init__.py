"""The audit of a collection: contradicted labels, near-duplicates, outliers, leaks between splits."""
