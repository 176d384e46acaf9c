"""The targets ``chroma`` and ``bins``, whose chroma is merged with the input's luminance."""

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

    Colors that sRGB does not contain are desaturated (``color.desaturate``) without changing their
    luminance.
    """

    needs_luminance = True
    loss_prefix = "chroma_"

    def __init__(self, color_space: str) -> None:
        super().__init__()
        self.color_space = color_space
        self.space = SPACES[color_space]

    def image(self, output: Tensor, degraded: Tensor) -> Tensor:
        """Return the image in [0, 1]: the answer's chroma with the luminance of the input.

        Args:
            output: Result of :meth:`output`, ``(N, K, H, W)``.
            degraded: The network's input in [0, 1], ``(N, C, H, W)`` with 1 or 3 channels.
        """
        return self.merged(self.answer(output), degraded)

    def merged(self, chroma: Tensor, degraded: Tensor) -> Tensor:
        """Merge chroma ``(N, 2, H, W)``, in the color space's unit, with an input's luminance."""
        luma = luminance(degraded).clamp(0, 1)
        return merge(luma, chroma, self.space, gamut="desaturate")


@register
class ChromaTarget(ColorTarget):
    """Two chroma channels, divided by the typical chroma of the color space (``chroma_scale``).

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
        """Return 2, the number of chroma channels."""
        return 2

    @classmethod
    def from_card(cls, card: ModelCard) -> Self:
        """Return the target in the card's color space."""
        return cls(card.color_space)

    def target(self, clean: Tensor) -> Tensor:
        """Return the clean images' chroma ``(N, 2, H, W)``, scaled to a variance of about 1."""
        return self.space.chroma(clean) / self.space.chroma_scale

    def answer(self, output: Tensor) -> Tensor:
        """Return the chroma ``(N, 2, H, W)`` in the color space's unit."""
        return output * self.space.chroma_scale


@register
class BinsTarget(ColorTarget):
    """Logits of chroma bins; the annealed mean of the distribution is the chroma.

    The method is from Zhang et al. 2016 (arXiv 1603.08511). Test-time augmentation averages logits,
    which gives the geometric mean of the distributions.

    Args:
        color_space: Name of the color space.
        bins: The chroma bins.
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
        # Buffers move to the device with the model. They are computed from the card, so weights
        # files do not contain them.
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
        """Return the chroma bins that contain most pixels of the training images."""
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
            InputError: The card has no bins.
        """
        if card.bins is None:
            raise InputError("its metadata is damaged: the target 'bins' has no chroma bins.")
        return cls(card.color_space, card.bins)

    def target(self, clean: Tensor) -> Tensor:
        """Return the bins nearest to each pixel's color, and the bins' weighted shares.

        Args:
            clean: Clean images in [0, 1], ``(N, 3, H, W)``.

        Returns:
            For each pixel the indices of the K = ``card.NEIGHBORS`` nearest bins, then the K shares
            of these bins, ``(N, 2K, H, W)``. The shares add up to the weight of the nearest bin.
        """
        colors = in_cells(self.space.chroma(clean), self.space).movedim(1, -1).reshape(-1, 2)
        bins, shares = soft_encode(colors, self.centers, self.table)
        # All shares of a pixel are multiplied by the weight of its nearest bin.
        shares = shares * self.weights.index_select(0, bins[:, 0]).unsqueeze(1)
        rows = torch.cat([bins.to(shares.dtype), shares], dim=1)
        return rows.view(*clean[:, 0].shape, -1).movedim(-1, 1)

    def answer(self, output: Tensor) -> Tensor:
        """Return the annealed mean, chroma ``(N, 2, H, W)`` in the color space's unit.

        Args:
            output: Logits, ``(N, Q, H, W)``. They are divided by the temperature, then normalized
                by a softmax.
        """
        # The logits of a batch take 55 MB, so parts are computed that fit into a processor's cache.
        means = [(part / self.temperature).softmax(1) @ self.centers for part in _rows(output)]
        return self._chroma(means, output)

    def draw(self, output: Tensor, degraded: Tensor, keys: Tensor, *, temperature: float) -> Tensor:
        """Draw chroma from the distributions, so that neighboring pixels get similar colors.

        The extra weight of rare bins in the loss is first undone, so that colors are drawn as often
        as they occur in the training images.

        Args:
            output: Logits, ``(N, Q, H, W)``.
            degraded: The network's input, ``(N, 1 or 3, H, W)``. Colors can change at the edges of
                its luminance.
            keys: Random keys of the images, ``int64 (N,)``.
            temperature: Above 0. At 1, colors are drawn with their probabilities; below 1, probable
                colors are drawn more often.

        Returns:
            Chroma in the color space's unit, ``(N, 2, H, W)``.
        """
        # A smooth field chooses all colors, because independent draws would differ between pixels.
        field = smooth_field(luminance(degraded).clamp(0, 1), keys)
        # The normal distribution function makes the field uniform in (0, 1). The quantiles 0 and 1
        # are avoided, because they have no color.
        quantiles = torch.special.ndtr(field).clamp(1e-6, 1 - 1e-6)
        # The loss multiplied the probability of each bin by the bin's weight. Subtracting the
        # logarithm of the weight divides the probability by it.
        drawn = [
            colors_at(((part - self.weights.log()) / temperature).softmax(1), self.centers, chance)
            for part, chance in zip(_rows(output), _rows(quantiles), strict=True)
        ]
        return self._chroma(drawn, output)

    def _chroma(self, rows: list[Tensor], output: Tensor) -> Tensor:
        """Join parts of colors in cells, ``(P, 2)``, to chroma in the color space's unit."""
        cells = torch.cat(rows).view(*output[:, 0].shape, 2).movedim(-1, 1)
        return from_cells(cells, self.space)


def _rows(planes: Tensor) -> tuple[Tensor, ...]:
    """Return planes ``(N, Q, H, W)`` as rows ``(P, Q)``, in parts that fit into a CPU's cache."""
    return chunks(planes.movedim(1, -1).flatten(0, 2))
