"""Images: from the bytes of a file to its pixels, upright, RGB."""
