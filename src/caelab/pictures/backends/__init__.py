"""The two libraries that compute a network for pictures: PyTorch and onnxruntime."""
