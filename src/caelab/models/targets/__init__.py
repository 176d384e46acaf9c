"""Prediction targets: what a network's output means. Importing this module registers all four.

target    network's output                       image
rgb       an image ────────────────────────────► clipped to [0, 1]
logits    logits of an image ──────────────────► logistic function
chroma    two chroma channels ─────────────────► merged with the input's luminance
bins      logits of chroma bins ─► annealed mean of chroma ─► merged with the input's luminance
"""

from caelab.models.targets.base import PredictionTarget, TargetOptions
from caelab.models.targets.color import BinsTarget, ChromaTarget
from caelab.models.targets.image import LogitsTarget, RgbTarget

__all__ = [
    "BinsTarget",
    "ChromaTarget",
    "LogitsTarget",
    "PredictionTarget",
    "RgbTarget",
    "TargetOptions",
]
