"""The card of a model: what must be known to use its weights."""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from caelab.errors import InputError
from caelab.models.tta import TTA

NEIGHBORS = 5
"""Number of chroma bins over which a color is spread."""

MAX_SIDE = 8192
"""Largest side of training images that a card may state, in pixels."""

MAX_CHANNELS = 4096
"""Most channels that a card may state."""

_RENAMED = {"impair": "degradation", "predict": "target", "space": "color_space"}
_OLD_TTA = {"average_flips": "flip", "average_shift": "shift", "average_enlarged": "scale"}


@dataclass(frozen=True, kw_only=True)
class ColorBins:
    """The classes of colors, and how a distribution over them becomes one color.

    Attributes:
        cells: Cell of each bin, sorted by the first channel, then the second.
        frequencies: Shares of the bins among the pixels of the training images, each pixel spread
            over its nearest bins; their sum is 1.
        rebalance: Extra weight of rare bins, in [0, 1): 0 is none, near 1 the inverse of their
            frequency. It is 1 − λ of Zhang et al.
        temperature: Temperature of the annealed mean: 1 is the mean of the distribution, near 0 its
            most probable bin.

    Raises:
        ValueError: The numbers of bins and frequencies differ, or there are fewer than
            ``NEIGHBORS``.
    """

    cells: tuple[tuple[int, int], ...]
    frequencies: tuple[float, ...]
    rebalance: float
    temperature: float

    def __post_init__(self) -> None:
        if len(self.cells) != len(self.frequencies) or len(self.cells) < NEIGHBORS:
            raise ValueError(f"{len(self.cells)} bins and {len(self.frequencies)} frequencies")
        if not all(0 <= share < math.inf for share in self.frequencies):
            raise ValueError("a frequency is negative or not finite")
        if not (0 <= self.rebalance < 1 and 0 < self.temperature < math.inf):
            raise ValueError(f"rebalance {self.rebalance}, temperature {self.temperature}")


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What must be known to use weights.

    Attributes:
        network: Canonical text of the network.
        degradation: Text of what was done to the network's input.
        target: Name of a registered ``PredictionTarget``.
        color_space: Name of the color space of chroma.
        channels: Channels of the clean images.
        size: Side of the training images in pixels, or height and width where they differ.
        mean: Means of the input's channels on [0, 1], subtracted by the normalization.
        std: Standard deviations of the input's channels, divided by.
        output_mean: Means of the clean images' channels.
        output_std: Standard deviations of the clean images' channels.
        data: Name of the training images.
        bins: Chroma bins, where the target is a distribution over them.
        tta: Test-time augmentation.
    """

    network: str
    degradation: str
    target: str
    color_space: str
    channels: int
    size: int | tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    output_mean: tuple[float, ...]
    output_std: tuple[float, ...]
    data: str
    bins: ColorBins | None = None
    tta: TTA = field(default_factory=TTA)

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of the training images, in pixels."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def to_dict(self) -> dict[str, Any]:
        """Return the card as JSON's types."""
        # `asdict` leaves the augmentation as it is, which is no dataclass.
        return {**asdict(self), "tta": self.tta.model_dump()}


def read_card(text: str, file: Path) -> ModelCard:
    """Read a card from JSON; cards with the names of earlier versions are read too.

    Args:
        text: :meth:`ModelCard.to_dict` as JSON.
        file: The model's file, which messages name.

    Raises:
        InputError: The card is damaged.
    """
    try:
        # Version 0.1 named some fields otherwise, and test-time augmentation was three of them.
        values = {_RENAMED.get(name, name): value for name, value in json.loads(text).items()}
        old = {_OLD_TTA[name]: values.pop(name) for name in _OLD_TTA if name in values}
        card = TypeAdapter(ModelCard).validate_python({"tta": old, **values})
        _require_sensible(card)
    # A text of thousands of brackets is deeper than Python reads.
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise damaged(file, error) from error
    return card


def _require_sensible(card: ModelCard) -> None:
    """Raise ``ValueError`` unless a card's numbers go together: memory is taken by them."""
    sides = (card.size,) if isinstance(card.size, int) else card.size
    if not all(1 <= side <= MAX_SIDE for side in sides):
        raise ValueError(f"size {card.size} is not between 1 and {MAX_SIDE}")
    inputs, outputs = len(card.mean), len(card.output_mean)
    if not 1 <= inputs <= outputs == card.channels <= MAX_CHANNELS:
        raise ValueError(f"means of {inputs} and {outputs} channels, and {card.channels} channels")
    if (len(card.std), len(card.output_std)) != (inputs, outputs):
        raise ValueError("as many standard deviations as means are needed")
    if not all(map(math.isfinite, (*card.mean, *card.output_mean))):
        raise ValueError("a mean is not finite")
    if not all(0 < deviation < math.inf for deviation in (*card.std, *card.output_std)):
        raise ValueError("a standard deviation is not positive")


def damaged(file: Path, error: Exception) -> InputError:
    """Return the error of a file whose metadata cannot be understood."""
    reason = " ".join(str(error).split())
    return InputError(f"{file}: the description in its metadata is damaged ({reason}).")
