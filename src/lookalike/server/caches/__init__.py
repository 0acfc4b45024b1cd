"""What is kept for a while, so that the next who asks waits for less."""
