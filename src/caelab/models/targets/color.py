"""The targets ``chroma`` and ``bins``, whose answers are merged with the input's luminance."""

from typing import Self

import torch
from torch import Tensor

from caelab.color import SPACES, luminance, merge
from caelab.data.device_images import DeviceImages
from caelab.errors import InputError
from caelab.kernels.sparse_cross_entropy import chunks
from caelab.models.card import ColorBins, ModelCard
from caelab.models.color_bins import (
    bin_weights,
    choose_bins,
    from_cells,
    in_cells,
    nearest_bins,
    soft_encode,
)
from caelab.models.color_sampling import colors_at, smooth_field
from caelab.models.targets.base import PredictionTarget, TargetOptions
from caelab.registry import register


class ColorTarget(PredictionTarget):
    """A target whose answer is chroma; the image gets the luminance of the input.

    Colors outside sRGB are desaturated (``color.desaturate``), which keeps the luminance.
    """

    needs_luminance = True
    loss_prefix = "chroma_"

    def __init__(self, color_space: str) -> None:
        super().__init__()
        self.color_space = color_space
        self.space = SPACES[color_space]

    def image(self, output: Tensor, degraded: Tensor) -> Tensor:
        """Merge the chroma with the luminance of the input.

        Args:
            output: The network's output, ``(N, K, H, W)``.
            degraded: The network's input, ``(N, C, H, W)`` with 1 or 3 channels.
        """
        return self.merged(self.answer(output), degraded)

    def merged(self, chroma: Tensor, degraded: Tensor) -> Tensor:
        """Merge chroma ``(N, 2, H, W)``, in the space's unit, with an input's luminance."""
        luma = luminance(degraded).clamp(0, 1)
        return merge(luma, chroma, self.space, gamut="desaturate")


@register
class ChromaTarget(ColorTarget):
    """Two chroma channels, in units of the space's typical deviation from gray.

    Args:
        color_space: Name of the color space.

    >>> import torch
    >>> from caelab.color import luminance
    >>> target = ChromaTarget("ycbcr")
    >>> clean = torch.rand(2, 3, 8, 8)
    >>> restored = target.image(target.target(clean), luminance(clean))
    >>> torch.allclose(restored, clean, atol=1e-5)
    True
    """

    name = "chroma"
    summary = "two chroma channels, merged with the input's luminance"
    losses = ("values",)
    channels = 2

    @classmethod
    def output_channels(cls, options: TargetOptions, channels: int) -> int:  # noqa: ARG003
        """Return 2."""
        return 2

    @classmethod
    def from_card(cls, card: ModelCard) -> Self:
        """Return the target in the card's color space."""
        return cls(card.color_space)

    def target(self, clean: Tensor) -> Tensor:
        """Return the clean image's chroma ``(N, 2, H, W)``, of about unit variance."""
        return self.space.chroma(clean) / self.space.chroma_scale

    def answer(self, output: Tensor) -> Tensor:
        """Return the chroma ``(N, 2, H, W)`` in the space's unit."""
        return output * self.space.chroma_scale


@register
class BinsTarget(ColorTarget):
    """Logits of chroma bins; their annealed mean is the chroma (arXiv 1603.08511).

    Test-time augmentation averages logits, which is the geometric mean of the distributions.

    Args:
        color_space: Name of the color space.
        bins: The classes.
    """

    name = "bins"
    summary = "a distribution over chroma bins, whose mean is merged with the input's luminance"
    losses = ("classes",)
    centers: Tensor
    weights: Tensor
    table: Tensor

    def __init__(self, color_space: str, bins: ColorBins) -> None:
        super().__init__(color_space)
        self.channels = len(bins.cells)
        self.temperature = bins.temperature
        # Buffers move to the device with the model. No weights file has them, because they follow
        # from the card.
        centers = torch.tensor(bins.cells, dtype=torch.float32)
        self.register_buffer("centers", centers, persistent=False)
        self.register_buffer("weights", bin_weights(bins), persistent=False)
        self.register_buffer("table", nearest_bins(centers), persistent=False)

    @classmethod
    def output_channels(cls, options: TargetOptions, channels: int) -> int:  # noqa: ARG003
        """Return the number of bins."""
        return options.bins

    @classmethod
    def measure(cls, options: TargetOptions, train: DeviceImages) -> ColorBins:
        """Return the bins that the training images fill most."""
        return choose_bins(
            train,
            space=SPACES[options.color_space],
            count=options.bins,
            rebalance=options.rebalance,
            temperature=options.temperature,
        )

    @classmethod
    def from_card(cls, card: ModelCard) -> Self:
        """Return the target with the card's bins.

        Raises:
            InputError: The card has none.
        """
        if card.bins is None:
            raise InputError("its metadata is damaged: the target 'bins' needs the bins of chroma.")
        return cls(card.color_space, card.bins)

    def target(self, clean: Tensor) -> Tensor:
        """Return the bins nearest to each color, and their weighted shares.

        Args:
            clean: Clean images in [0, 1], ``(N, 3, H, W)``.

        Returns:
            ``(N, 2K, H, W)`` with K = ``color_bins.NEIGHBORS``: K numbers of bins, then K shares,
            whose sum is the weight of the nearest bin.
        """
        colors = in_cells(self.space.chroma(clean), self.space).movedim(1, -1).reshape(-1, 2)
        bins, shares = soft_encode(colors, self.centers, self.table)
        # All shares of a pixel are multiplied by the weight of its nearest bin.
        shares = shares * self.weights.index_select(0, bins[:, 0]).unsqueeze(1)
        rows = torch.cat([bins.to(shares.dtype), shares], dim=1)
        return rows.view(*clean[:, 0].shape, -1).movedim(-1, 1)

    def answer(self, output: Tensor) -> Tensor:
        """Return the annealed mean, chroma ``(N, 2, H, W)`` in the space's unit.

        Args:
            output: Logits, ``(N, Q, H, W)``; divided by the temperature before the softmax.
        """
        # In parts that fit into the cache, as in training: the logits of a batch take 55 MB.
        means = [(part / self.temperature).softmax(1) @ self.centers for part in _rows(output)]
        return self._chroma(means, output)

    def draw(self, output: Tensor, degraded: Tensor, keys: Tensor, *, temperature: float) -> Tensor:
        """Draw chroma from the distributions, so that neighboring pixels get similar colors.

        The weighting of rare bins in the loss is undone first, so that colors are drawn as often as
        they occur in the training images.

        Args:
            output: Logits, ``(N, Q, H, W)``.
            degraded: The network's input, ``(N, 1 or 3, H, W)``; its luminance shapes the field.
            keys: Random keys of the images, ``int64 (N,)``.
            temperature: 1 draws colors as often as they are probable; less prefers probable ones.

        Returns:
            Chroma in the space's unit, ``(N, 2, H, W)``.
        """
        # One smooth field for all pixels: if each were drawn alone, neighbors would differ.
        field = smooth_field(luminance(degraded).clamp(0, 1), keys)
        # The normal distribution function makes the field uniform in (0, 1). No color is at the
        # very ends.
        quantiles = torch.special.ndtr(field).clamp(1e-6, 1 - 1e-6)
        # The loss multiplies the probability of a bin by its weight. Subtracting the logarithm
        # divides by it again.
        drawn = [
            colors_at(((part - self.weights.log()) / temperature).softmax(1), self.centers, chance)
            for part, chance in zip(_rows(output), _rows(quantiles), strict=True)
        ]
        return self._chroma(drawn, output)

    def _chroma(self, rows: list[Tensor], output: Tensor) -> Tensor:
        """Bring colors in cells, ``(P, 2)`` in parts, to ``(N, 2, H, W)`` in the space's unit."""
        cells = torch.cat(rows).view(*output[:, 0].shape, 2).movedim(-1, 1)
        return from_cells(cells, self.space)


def _rows(planes: Tensor) -> tuple[Tensor, ...]:
    """Return ``(N, Q, H, W)`` as rows ``(P, Q)``, in parts that fit a processor's cache."""
    return chunks(planes.movedim(1, -1).flatten(0, 2))
