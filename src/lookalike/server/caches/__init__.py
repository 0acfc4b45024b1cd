"""In-memory caches: embedders, classifiers, field counts, thumbnails."""
