"""Training: one loop, and what is handed to it.

``device`` (where and how precisely) · ``randomness`` (one generator a purpose) · ``pixels`` (images
kept as bytes) · ``compose`` (network output → image) · ``losses`` · ``optimizers`` · ``schedule`` ·
``fit`` (THE loop).
"""
