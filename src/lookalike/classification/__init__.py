"""Classification: labels for new images, from their neighbours or from the names of labels."""
