"""Pictures of any size through a trained network: files in, files out, memory bounded.

Nothing here but ``export`` and ``torch_model`` imports torch: with an ONNX model the whole way does
without.
"""
