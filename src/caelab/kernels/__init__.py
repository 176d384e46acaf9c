"""Fast array operations in C, their Python bindings, and the choice between them and PyTorch.

These modules work with arrays and tensors, and do not depend on networks or layers.
"""
