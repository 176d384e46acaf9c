"""Models: a network between its normalization and the image that its output means."""
