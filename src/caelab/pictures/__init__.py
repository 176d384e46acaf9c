"""Apply trained models to picture files of any size.

With an ONNX model, all modules except ``export``, ``load`` and ``backends.torch`` work without
PyTorch.
"""
