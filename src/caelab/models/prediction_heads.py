"""What a network's output means: the way from its numbers to an image, and what the loss compares
them with.

rgb       output ──► an image                                              compared with the clean image
logits    output ──► logistic function ──► an image                        compared with the clean image
chroma    output ──► two chroma planes, merged with the given luminance    compared with the clean image's planes
bins      output ──► a distribution over bins of chroma ──► its annealed mean, merged with the given luminance
                                                                           compared with the bins
                                                                           near the clean image's
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from caelab.color import SPACES, merge
from caelab.degrade.kinds import gray
from caelab.kernels.sparse_cross_entropy import cached
from caelab.models.affine import affine
from caelab.models.color_bins import ColorBins, from_cells, in_cells, nearest_bins, spread
from caelab.models.color_sampling import colors_at, smooth_field


class Prediction(Protocol):
    """From a network's output to an image.

    Attributes:
        channels: That the network gives.
        term: What a loss of the output is called, put before its name; ``""`` where it is one of
            the image itself.
    """

    channels: int
    term: str

    @property
    def affine(self) -> tuple[Tensor, Tensor] | None:
        """By what :meth:`output` multiplies each channel and what it adds, ``(C',)``; ``None`` if
        nothing.
        """
        ...

    def output(self, raw: Tensor) -> Tensor:
        """Bring what the network gave, ``float32 (N, C', H, W)``, to the unit in which it is
        compared.
        """
        ...

    def target(self, clean: Tensor) -> Tensor:
        """Return what :meth:`output` is compared with, for clean images in [0, 1] ``(N, C, H,
        W)``.
        """
        ...

    def image(self, output: Tensor, given: Tensor) -> Tensor:
        """Return the image in [0, 1] that is meant, where the network was ``given`` ``(N, C'', H,
        W)``.
        """
        ...


class RgbPrediction(nn.Module):
    """The output is the image, normalised as ``(x − mean) / std`` by channel."""

    mean: Tensor
    std: Tensor
    term = ""

    def __init__(self, *, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.channels = len(mean)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32), persistent=False)
        self._identity = not any(mean) and all(value == 1 for value in std)

    @property
    def affine(self) -> tuple[Tensor, Tensor] | None:
        """The deviation and the mean, unless they change nothing."""
        return None if self._identity else (self.std, self.mean)

    def output(self, raw: Tensor) -> Tensor:
        """Undo the normalisation; the image is not clipped."""
        return raw if self.affine is None else affine(raw, *self.affine)

    def target(self, clean: Tensor) -> Tensor:
        """Return the clean image itself."""
        return clean

    def image(self, output: Tensor, given: Tensor) -> Tensor:  # noqa: ARG002
        """Clip."""
        return output.clamp(0, 1)


class LogitPrediction(nn.Module):
    """The output are logits of the pixel values, for binary cross-entropy."""

    term = ""
    affine = None

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def output(self, raw: Tensor) -> Tensor:
        """Return the logits."""
        return raw

    def target(self, clean: Tensor) -> Tensor:
        """Return the clean image itself."""
        return clean

    def image(self, output: Tensor, given: Tensor) -> Tensor:  # noqa: ARG002
        """Apply the logistic function."""
        return output.sigmoid()


class ChromaPrediction(nn.Module):
    """The output are two chroma planes in units of the space's usual deviation; the luma is the
    given one's.

    Colors outside sRGB are desaturated until the luma is kept to rounding (``color.desaturate``).
    """

    term = "chroma_"
    affine = None

    def __init__(self, *, space: str) -> None:
        super().__init__()
        self.channels = 2
        self.space = SPACES[space]

    def output(self, raw: Tensor) -> Tensor:
        """Return the planes as they are."""
        return raw

    def target(self, clean: Tensor) -> Tensor:
        """Return the clean image's chroma planes, ``(N, 2, H, W)``, of about unit variance."""
        return self.space.chroma(clean) / self.space.chroma_scale

    def image(self, output: Tensor, given: Tensor) -> Tensor:
        """Merge the planes with the luma of ``given``, which has one channel, or three of which the
        luma counts.
        """
        return merge(
            gray(given).clamp(0, 1),
            output * self.space.chroma_scale,
            self.space,
            gamut="desaturate",
        )


class BinsPrediction(nn.Module):
    """The output are logits of the bins of chroma, by pixel; the luma is the given one's (Zhang et
    al. 2016).

    Where answers for mirror images are averaged, so are the logits: the distributions' geometric
    mean.
    """

    centres: Tensor
    weights: Tensor
    table: Tensor
    term = "chroma_"
    affine = None

    def __init__(self, *, space: str, bins: ColorBins) -> None:
        super().__init__()
        self.channels = len(bins.cells)
        self.space = SPACES[space]
        self.temperature = bins.temperature
        centres = torch.tensor(bins.cells, dtype=torch.float32)
        self.register_buffer("centres", centres, persistent=False)
        self.register_buffer("weights", bins.weights(), persistent=False)
        self.register_buffer("table", nearest_bins(centres), persistent=False)

    def output(self, raw: Tensor) -> Tensor:
        """Return the logits, ``(N, Q, H, W)``."""
        return raw

    def target(self, clean: Tensor) -> Tensor:
        """Return the bins nearest to each color and their shares, times the weight of the first,
        for ``cross_entropy``.

        ``(N, 2K, H, W)`` of K ``bins.NEIGHBORS``.
        """
        count, _, height, width = clean.shape
        colors = in_cells(self.space.chroma(clean), self.space).movedim(1, -1).reshape(-1, 2)
        bins, shares = spread(colors, self.centres, self.table)
        shares = shares * self.weights.index_select(0, bins[:, 0]).unsqueeze(1)
        return (
            torch.cat([bins.to(shares.dtype), shares], dim=1)
            .view(count, height, width, -1)
            .movedim(-1, 1)
        )

    def image(self, output: Tensor, given: Tensor) -> Tensor:
        """Merge the annealed mean of the distributions with the luma of ``given``, of one channel
        or three.
        """
        return self.colored(self.annealed_mean(output), given)

    def annealed_mean(self, logits: Tensor) -> Tensor:
        """Return the mean color of the distributions sharpened by the temperature, in cells, ``(N,
        2, H, W)``.
        """
        count, _, height, width = logits.shape
        rows = logits.movedim(1, -1).flatten(0, 2)
        means = torch.cat(
            [(part / self.temperature).softmax(1) @ self.centres for part in cached(rows)]
        )
        return means.view(count, height, width, 2).movedim(-1, 1)

    def colored(self, cells: Tensor, given: Tensor) -> Tensor:
        """Merge chroma in cells ``(N, 2, H, W)`` with the luma of ``given``: an image in [0, 1]."""
        return merge(
            gray(given).clamp(0, 1), from_cells(cells, self.space), self.space, gamut="desaturate"
        )

    def variant(self, output: Tensor, given: Tensor, keys: Tensor, *, temperature: float) -> Tensor:
        """Draw an image in [0, 1] from the distributions, whose luma is that of ``given``: see
        ``training.variants``.

        What rebalancing added to rare bins is taken away again: colors come as often as the
        training images have them.

        Args:
            output: Logits, ``(N, Q, H, W)``.
            given: Of one channel or three.
            keys: ``int64 (N,)``, all that chance depends on.
            temperature: Below 1, probable colors come more often than they should, and at 1 as
                often.
        """
        field = smooth_field(gray(given).clamp(0, 1), keys)
        quantiles = torch.special.ndtr(field).clamp(1e-6, 1 - 1e-6)
        rows, chances = (planes.movedim(1, -1).flatten(0, 2) for planes in (output, quantiles))
        drawn = [
            colors_at(((part - self.weights.log()) / temperature).softmax(1), self.centres, chance)
            for part, chance in zip(cached(rows), cached(chances), strict=True)
        ]
        count, _, height, width = output.shape
        return self.colored(torch.cat(drawn).view(count, height, width, 2).movedim(-1, 1), given)
