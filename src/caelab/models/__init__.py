"""Models: a network, its normalization and the meaning of its output; test-time augmentation; weights."""
