"""Models: a network with its normalization, the meaning of its output, and its weights file."""
