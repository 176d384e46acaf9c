"""Random numbers that depend on explicit seeds only, so that a resumed run repeats them.

Generators (:func:`generator_for`) are for what is drawn for a whole batch. Random numbers of an
image (:func:`uniform`, :func:`normal`) are a hash of the image's key, a stream and an index. From a
generator, an image's noise would depend on the batch that the image is in, and the generator's
state would have to be saved.
"""

import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Purpose = Literal["initialization", "batches", "dropout"]

_SEED_STREAMS: dict[Purpose, int] = {"initialization": 1, "batches": 2, "dropout": 4}
_KEY_STREAM = 3

_ROUNDS = ((16, 0x7FEB352D), (15, 0x846CA68B - 2**32))
"""Shifts and multipliers (as int32) of ``lowbias32``: Wellons 2018,
nullprogram.com/blog/2018/07/31."""


def generator_for(seed: int, purpose: Purpose, *moments: int) -> torch.Generator:
    """Return a CPU generator that depends on the arguments only.

    Args:
        seed: Seed of the run, not negative.
        purpose: What is drawn. Each purpose has its own numbers, however many others draw.
        moments: Epoch, step and so on. A resumed run gets the same numbers again.

    >>> torch.randperm(5, generator=generator_for(0, "batches", 1))
    tensor([0, 4, 2, 3, 1])
    """
    # A hash of all arguments, not their sum: seed 1 in epoch 0 must not repeat seed 0 in epoch 1.
    entropy = np.random.SeedSequence([seed, _SEED_STREAMS[purpose], *moments])
    return torch.Generator().manual_seed(int(entropy.generate_state(1, np.uint64)[0]) & (2**63 - 1))


def image_keys(rows: NDArray[np.int64], seed: int, *moments: int) -> Tensor:
    """Return the key of each image, from which all its random numbers follow, ``int64 (N,)``.

    Args:
        rows: Indices of the images in their data set, ``(N,)``, not negative.
        seed: Seed of the run, not negative.
        moments: The epoch in training, so that each epoch has other random numbers. Nothing for
            evaluation, which always uses the same numbers.
    """
    # The moments are a spawn key: appended to the seed, a moment 0 would be the same as none.
    sequence = np.random.SeedSequence([seed, _KEY_STREAM], spawn_key=moments)
    (base,) = sequence.generate_state(1, np.uint64)
    # SplitMix64 (Steele et al. 2014): one changed bit of a row changes half of the key's bits.
    keys = (rows.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + base
    for shift, multiplier in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(multiplier)
    return torch.from_numpy((keys ^ (keys >> np.uint64(31))).view(np.int64))


def uniform(keys: Tensor, count: int, stream: int) -> Tensor:
    """Return random numbers, uniform in (0, 1] in steps of 2⁻²⁴, ``float32 (N, count)``.

    Args:
        keys: Keys of the images, ``int64 (N,)``, on the device where the numbers are wanted.
        count: Numbers per image; the first of them do not depend on how many there are.
        stream: Number from 0 to 63; different streams are independent.
    """
    # A key has 64 bits and the hash works on 32: the lower half starts it, the upper half enters
    # every round. Integers of 32 bits are fast on every device, and wrap around alike.
    low, high = (keys.bitwise_right_shift(shift).to(torch.int32).unsqueeze(1) for shift in (0, 32))
    # The stream is in the highest 6 bits: each stream has 2²⁶ numbers of its own.
    counter = torch.arange(count, dtype=torch.int32, device=keys.device) + (stream << 26)
    number = counter * -0x61C88647 + low  # the golden ratio of 2³²: neighbors start far apart
    for shift, multiplier in _ROUNDS:
        _fold(number, shift).mul_(multiplier).add_(high)
    # 24 bits, because float32 holds no more exactly. Adding a half avoids 0, of which `normal`
    # could not take the logarithm.
    return _fold(number, 16).bitwise_and_(0xFFFFFF).float().add_(0.5).mul_(2.0**-24)


def normal(keys: Tensor, count: int, stream: int) -> Tensor:
    """Return standard normal random numbers (Box and Muller 1958), ``float32 (N, count)``.

    Args:
        keys: Keys of the images, ``int64 (N,)``, on the device where the numbers are wanted.
        count: Numbers per image; the first of them do not depend on how many there are.
        stream: Number from 0 to 63; different streams are independent.
    """
    # Box and Muller's method makes two normal numbers of two uniform ones.
    numbers = uniform(keys, count + count % 2, stream).view(len(keys), -1, 2)
    radius = numbers[..., 0].log().mul_(-2).sqrt_()
    angle = numbers[..., 1].mul(2 * math.pi)
    pairs = torch.stack([angle.cos().mul_(radius), angle.sin().mul_(radius)], dim=2)
    return pairs.flatten(1)[:, :count]


def _fold(number: Tensor, shift: int) -> Tensor:
    """Compute ``number ^= number >> shift`` in place, without int32's sign shifted in."""
    return number.bitwise_xor_((number >> shift).bitwise_and_((1 << (32 - shift)) - 1))
