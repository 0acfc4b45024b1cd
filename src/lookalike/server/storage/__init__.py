"""Files that are shown, and files that were added."""
