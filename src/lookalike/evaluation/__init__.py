"""How far answers can be trusted: answers to images that nothing has seen, and what follows from them."""
