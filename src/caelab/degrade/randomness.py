"""Random numbers of an image: a function of its key and the place of the number, and of nothing
else.

A stream that is read in order would tie an image's noise to the batch that it came in. Here every
number is a hash of (key, stream, index): an image's impairment is the same in every batch and on
every device, there is no state to resume from, and the numbers are drawn on the device itself.
"""

import math

import torch
from torch import Tensor

_ROUNDS = ((16, 0x7FEB352D), (15, 0x846CA68B - 2**32))
"""Shifts and multipliers of ``lowbias32`` (Wellons 2018, nullprogram.com/blog/2018/07/31), the
latter as int32."""


def uniform(keys: Tensor, count: int, stream: int) -> Tensor:
    """Return ``float32 (N, count)``, uniform in (0, 1], in steps of 2⁻²⁴.

    Args:
        keys: ``int64 (N,)``, see ``image_keys``, on the device where the numbers are wanted.
        count: Numbers of an image; fewer of them are the first of more.
        stream: Numbers of different streams are independent.
    """
    low, high = (keys.bitwise_right_shift(shift).to(torch.int32).unsqueeze(1) for shift in (0, 32))
    counter = torch.arange(count, dtype=torch.int32, device=keys.device) + (stream << 26)
    number = counter * -0x61C88647 + low  # the golden ratio of 2³²: neighbours start far apart
    for shift, multiplier in _ROUNDS:
        _fold(number, shift).mul_(multiplier).add_(high)
    return _fold(number, 16).bitwise_and_(0xFFFFFF).float().add_(0.5).mul_(2.0**-24)


def normal(keys: Tensor, count: int, stream: int) -> Tensor:
    """Return ``float32 (N, count)`` of standard normal numbers (Box and Muller 1958); arguments as
    for ``uniform``.
    """
    pairs = (count + 1) // 2
    numbers = uniform(keys, 2 * pairs, stream).view(len(keys), pairs, 2)
    radius = numbers[..., 0].log().mul_(-2).sqrt_()
    angle = numbers[..., 1].mul(2 * math.pi)
    return torch.stack([angle.cos().mul_(radius), angle.sin().mul_(radius)], dim=2).flatten(1)[
        :, :count
    ]


def _fold(number: Tensor, shift: int) -> Tensor:
    """Do ``number ^= number >> shift`` in place, without the sign that int32 would shift in."""
    return number.bitwise_xor_((number >> shift).bitwise_and_((1 << (32 - shift)) - 1))
