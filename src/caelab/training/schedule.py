"""The learning rate through a run, as a factor of its peak."""

import math
from collections.abc import Callable, Mapping

Decay = Callable[[float], float]

DECAYS: Mapping[str, Decay] = {
    "constant": lambda _: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: 0.5 * (1.0 + math.cos(math.pi * progress)),
}
"""Factor after the warm-up, by progress in [0, 1) through what remains of the run."""


def rate_factor(step: int, *, steps: int, warmup: int, decay: str) -> float:
    """Return the learning rate's factor in (0, 1] for ``step`` in ``0 … steps − 1``.

    The first ``warmup`` steps rise linearly to 1; then ``decay`` falls towards (never reaching) 0
    at ``steps``.
    """
    if step < warmup:
        return (step + 1) / warmup
    return DECAYS[decay]((step - warmup) / max(1, steps - warmup))
