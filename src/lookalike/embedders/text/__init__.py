"""Tokenizers: texts to token numbers."""
