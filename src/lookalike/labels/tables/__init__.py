"""Labels in tables: CSV, TSV, JSON Lines and Parquet, one row for an image."""
