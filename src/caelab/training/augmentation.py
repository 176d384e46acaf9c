"""Training images as they might have been taken: mirrored, a little aside, from nearer, aslant, in
another light.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from caelab.randomness import uniform

_STREAM = 32
"""Of random numbers; degradations have those below."""


def augment(
    images: Tensor,
    keys: Tensor,
    *,
    flip: bool,
    shift: int,
    zoom: float = 0.0,
    rotate: float = 0.0,
    tone: float = 0.0,
) -> Tensor:
    """Return each image mirrored with probability ½, moved, zoomed and turned, and mirrored beyond
    its border.

    Args:
        images: ``(N, C, H, W)`` in [0, 1].
        keys: ``int64 (N,)`` on the same device, from ``randomness.image_keys``: all that chance depends
            on.
        flip: Whether to mirror left and right.
        shift: Whole pixels by which it is moved at most; smaller than the image.
        zoom: It is enlarged about its middle by a factor between 1 / (1 + zoom) and 1 + zoom, all
            of them equally likely on a logarithmic scale; bicubic, clipped to [0, 1].
        rotate: Degrees by which it is turned about its middle at most, either way; in one step with
            the zoom.
        tone: Its values are raised to a power between 1 / (1 + tone) and 1 + tone, drawn as the
            zoom is.
    """
    if not (flip or shift or zoom or rotate or tone):
        return images
    drawn = uniform(keys, 6, _STREAM)
    if flip:
        images = torch.where((drawn[:, 0] > 0.5).view(-1, 1, 1, 1), images.flip(3), images)
    if shift:
        height, width = images.shape[2:]
        padded = F.pad(images, (shift,) * 4, mode="reflect").permute(0, 2, 3, 1)
        offsets = (drawn[:, 1:3] * (2 * shift + 1)).ceil().long() - 1  # drawn is in (0, 1]
        rows = offsets[:, :1] + torch.arange(height, device=images.device)
        columns = offsets[:, 1:] + torch.arange(width, device=images.device)
        image = torch.arange(len(images), device=images.device)
        images = padded[image[:, None, None], rows[:, :, None], columns[:, None, :]].permute(
            0, 3, 1, 2
        )
    if zoom or rotate:
        factors, angles = (
            _about_one(drawn[:, 3], zoom),
            (2 * drawn[:, 4] - 1) * math.radians(rotate),
        )
        images = _enlarge_and_turn(images, factors, angles)
    if tone:
        images = images.pow(_about_one(drawn[:, 5], tone).view(-1, 1, 1, 1))
    return images


def _about_one(drawn: Tensor, width: float) -> Tensor:
    """Return factors between 1 / (1 + width) and 1 + width, from numbers in (0, 1]."""
    return torch.exp((2 * drawn - 1) * math.log1p(width))


def _enlarge_and_turn(images: Tensor, factors: Tensor, angles: Tensor) -> Tensor:
    """Enlarge and turn each image about its middle, by its own factor and its own angle in radians,
    ``(N,)``.
    """
    height, width = images.shape[2:]
    sine, cosine = angles.sin() / factors, angles.cos() / factors
    maps = images.new_zeros(len(images), 2, 3)
    maps[:, 0, 0] = maps[:, 1, 1] = cosine
    maps[:, 0, 1], maps[:, 1, 0] = (
        -sine * height / width,
        sine * width / height,
    )  # places are in halves of a side
    places = F.affine_grid(maps, list(images.shape), align_corners=False)
    moved = F.grid_sample(
        images, places, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    return moved.clamp(0, 1)
