"""Dropout of whole channels, drawn from an explicit generator."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

_GENERATOR: ContextVar[torch.Generator | None] = ContextVar("generator", default=None)


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Let every :class:`Dropout` that runs in this thread, while the block does, draw from
    ``generator``.

    Threads that train at once need generators of their own: shared, one would give each of them
    other numbers every time. The backward pass draws nothing.
    """
    token = _GENERATOR.set(generator)
    try:
        yield
    finally:
        _GENERATOR.reset(token)


class Dropout(nn.Module):
    """``dropout``: in training, channels of single images become 0 with ``probability`` p, the
    others x / (1 − p).

    In evaluation it is the identity. Whole channels are dropped, not single numbers, because
    neighbours in a feature map are so alike that they would make up for each other (Tompson et al.
    2015, arXiv 1411.4280); behind ``dense64``, where a channel is one number, this is the dropout
    of Srivastava et al. (2014).

    Numbers come from the generator of :func:`drawing_from`, and are the same on every device if
    that is a CPU's; outside of it they come from torch's global generator.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        if not self.training or self.probability == 0:
            return x
        generator = _GENERATOR.get()
        device = x.device if generator is None else generator.device
        drawn = torch.rand(*x.shape[:2], 1, 1, generator=generator, device=device)
        kept = (drawn >= self.probability).to(x.device, x.dtype, non_blocking=True)
        return x * (kept / (1 - self.probability))

    def extra_repr(self) -> str:
        """Name the probability, for ``print(module)``."""
        return f"probability={self.probability}"
