"""Pictures of any size through a trained model: files in, files out, memory bounded.

With an ONNX model, everything but ``export``, ``load`` and ``backends.torch`` works without torch.
"""
