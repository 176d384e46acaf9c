"""Degradations, which turn a clean image into the input that a network learns to restore."""
