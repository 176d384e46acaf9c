"""Prediction targets: what a network's output means. Importing this registers the four kinds.

rgb       an image ─────────────────────────────► clipped
logits    logits of an image ───────────────────► logistic function
chroma    two chroma channels ──────────────────► merged with the input's luminance
bins      distribution over bins of chroma ──► annealed mean ──► merged with the input's luminance
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
