"""Baselines that networks are compared with: linear codes, simple colorizations, classical methods.

A baseline is a function of the type ``caelab.metrics.evaluate.Restore``, which maps degraded images
to images in [0, 1].
"""
