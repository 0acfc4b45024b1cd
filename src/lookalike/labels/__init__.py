"""Labels: what is known of each image, read from folders, JSON, tables, XML or YOLO files."""
