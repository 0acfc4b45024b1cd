"""The requests that are answered, and what is asked to answer them."""
