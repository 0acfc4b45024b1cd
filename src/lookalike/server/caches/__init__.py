"""In-memory caches: embedders, calibrations, field counts, thumbnails."""
