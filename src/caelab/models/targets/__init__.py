"""Prediction targets: what a network's output means. Importing this registers the four kinds.

rgb       an image ─────────────────────────────► clipped
logits    logits of an image ───────────────────► logistic function
chroma    two chroma channels ──────────────────► merged with the input's luminance
bins      distribution over bins of chroma ──► annealed mean ──► merged with the input's luminance
"""

from caelab.models.targets.base import ColorTarget, PredictionTarget, TargetOptions
from caelab.models.targets.bins import BinsTarget
from caelab.models.targets.chroma import ChromaTarget
from caelab.models.targets.logits import LogitsTarget
from caelab.models.targets.rgb import RgbTarget

__all__ = [
    "BinsTarget",
    "ChromaTarget",
    "ColorTarget",
    "LogitsTarget",
    "PredictionTarget",
    "RgbTarget",
    "TargetOptions",
]
