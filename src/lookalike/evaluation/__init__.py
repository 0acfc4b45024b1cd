"""Evaluation: predictions for held-out images, and the accuracy, confidence and coverage that follow."""
