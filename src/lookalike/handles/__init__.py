"""What a collection has in parts: its records, its vectors, corrections of its labels, anomaly detection."""
