"""Measuring: errors by image, and the trivial baselines that stand beside every result."""
