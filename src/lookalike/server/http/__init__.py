"""What comes in and goes out: bodies, forms, answers, problems, and the shapes of others."""
