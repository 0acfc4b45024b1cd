"""Whether new images are still what a collection was judged on."""
