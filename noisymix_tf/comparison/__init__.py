"""Comparisons: trainings in turn, and one table of what came out of them."""
