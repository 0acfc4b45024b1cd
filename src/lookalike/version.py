"""The version of lookalike."""

VERSION = "0.1.0"
