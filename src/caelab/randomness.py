"""Random numbers that depend on explicit seeds only, so that a resumed run repeats them.

Random numbers that belong to no single image come from generators (:func:`generator_for`). The
random numbers of an image (:func:`uniform`, :func:`normal`) are a hash of the image's key, a stream
and an index. If they came from a generator, the noise of an image would depend on the batch that
contains the image, and the state of the generator would have to be saved.
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
"""Shifts and multipliers (as int32) of the hash function ``lowbias32`` (Wellons 2018,
nullprogram.com/blog/2018/07/31)."""


def generator_for(seed: int, purpose: Purpose, *moments: int) -> torch.Generator:
    """Return a CPU generator that depends on the arguments only.

    Args:
        seed: Seed of the run, not negative.
        purpose: Use of the numbers. The numbers of one purpose do not depend on how many numbers
            the others use.
        moments: Epoch, step and so on, from which a resumed run gets the same numbers again.

    >>> torch.randperm(5, generator=generator_for(0, "batches", 1))
    tensor([0, 4, 2, 3, 1])
    """
    # A hash of all arguments, not their sum: seed 1 in epoch 0 must not repeat seed 0 in epoch 1.
    entropy = np.random.SeedSequence([seed, _SEED_STREAMS[purpose], *moments])
    return torch.Generator().manual_seed(int(entropy.generate_state(1, np.uint64)[0]) & (2**63 - 1))


def image_keys(rows: NDArray[np.int64], seed: int, *moments: int) -> Tensor:
    """Return a key for each image, ``int64 (N,)``. It determines all random numbers of the image.

    Args:
        rows: Indices of the images in their data set, ``(N,)``, not negative.
        seed: Seed of the run, not negative.
        moments: In training, the epoch, so that the random numbers of each epoch differ. In
            evaluation nothing, so that the random numbers are always the same.
    """
    # The moments are a spawn key. If they were appended to the seed, 0 would change nothing.
    sequence = np.random.SeedSequence([seed, _KEY_STREAM], spawn_key=moments)
    (base,) = sequence.generate_state(1, np.uint64)
    # The hash SplitMix64 (Steele et al. 2014): if one bit of a row changes, about half of the bits
    # of the key change.
    keys = (rows.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + base
    for shift, multiplier in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(multiplier)
    return torch.from_numpy((keys ^ (keys >> np.uint64(31))).view(np.int64))


def uniform(keys: Tensor, count: int, stream: int) -> Tensor:
    """Return random numbers, uniform in (0, 1] in steps of 2⁻²⁴, ``float32 (N, count)``.

    Args:
        keys: Keys of the images, ``int64 (N,)``, on the device where the numbers are wanted.
        count: Numbers per image. A larger count only appends numbers.
        stream: Number of the stream, 0 to 63. Different streams are independent.
    """
    # A key has 64 bits, but the hash works on 32. It starts with the lower half of the key, and
    # adds the upper half in every round. Integers of 32 bits are fast on every device, and overflow
    # in the same way.
    low, high = (keys.bitwise_right_shift(shift).to(torch.int32).unsqueeze(1) for shift in (0, 32))
    # The stream is in the highest 6 bits, so each stream has 2²⁶ numbers of its own.
    counter = torch.arange(count, dtype=torch.int32, device=keys.device) + (stream << 26)
    # The factor is 2³² divided by the golden ratio, so that neighboring counters start far apart.
    number = counter * -0x61C88647 + low
    for shift, multiplier in _ROUNDS:
        _fold(number, shift).mul_(multiplier).add_(high)
    # 24 bits are kept, because float32 represents no more exactly. A half is added to avoid 0,
    # which has no logarithm in `normal`.
    return _fold(number, 16).bitwise_and_(0xFFFFFF).float().add_(0.5).mul_(2.0**-24)


def normal(keys: Tensor, count: int, stream: int) -> Tensor:
    """Return standard normal random numbers (Box and Muller 1958), ``float32 (N, count)``.

    Args:
        keys: Keys of the images, ``int64 (N,)``, on the device where the numbers are wanted.
        count: Numbers per image. A larger count only appends numbers.
        stream: Number of the stream, 0 to 63. Different streams are independent.
    """
    # Box and Muller's method turns two uniform numbers into two normal numbers.
    numbers = uniform(keys, count + count % 2, stream).view(len(keys), -1, 2)
    radius = numbers[..., 0].log().mul_(-2).sqrt_()
    angle = numbers[..., 1].mul(2 * math.pi)
    pairs = torch.stack([angle.cos().mul_(radius), angle.sin().mul_(radius)], dim=2)
    return pairs.flatten(1)[:, :count]


def _fold(number: Tensor, shift: int) -> Tensor:
    """Compute ``number ^= number >> shift`` in place, as for an unsigned number."""
    return number.bitwise_xor_((number >> shift).bitwise_and_((1 << (32 - shift)) - 1))
