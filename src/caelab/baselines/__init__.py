"""Baselines that every result is compared with: linear codes, simple answers, classical methods.

Each module makes methods of one shape, ``caelab.metrics.evaluate.Restore``: degraded images to
images in [0, 1].
"""
