"""Degradations: a clean image becomes the degraded input that a network restores."""
