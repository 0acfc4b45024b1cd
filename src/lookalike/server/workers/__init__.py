"""Where work waits: pictures and texts for a model, calls of a store, jobs."""
