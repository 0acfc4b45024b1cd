"""Sources: which files below a folder are images to index."""
