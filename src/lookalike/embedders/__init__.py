"""Embedders: models with their preprocessing, pixels → features, and some of them texts → features."""
