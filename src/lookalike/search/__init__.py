"""Search: the images of a collection that are most like images, records, texts, or sums of them."""
