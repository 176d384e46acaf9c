"""Models: a network, the normalization of its input, the meaning of its output, a weights file."""
