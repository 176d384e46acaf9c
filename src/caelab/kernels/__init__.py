"""Fast array operations: C sources, their bindings, and the choice between them and PyTorch.

Nothing here knows a network or a layer: arrays and tensors go in, arrays and tensors come out.
"""
