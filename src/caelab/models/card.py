"""The card of a model: everything besides the weights that is needed to use the model."""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from caelab.errors import InputError
from caelab.models.tta import TTA

FORMAT = "caelab-3"
"""Name of the format in which new weights files are written."""

_READ_FORMATS = ("caelab-2", FORMAT)
"""Names of the formats that can be read. In caelab-2, some fields of the card have older names."""

NEIGHBORS = 5
"""Number of nearest chroma bins among which a color is divided."""

MAX_SIDE = 8192
"""Largest side of training images that a card may state, in pixels."""

MAX_CHANNELS = 4096
"""Largest number of channels that a card may state."""

_RENAMED = {"impair": "degradation", "predict": "target", "space": "color_space"}
"""Names of fields in cards of version 0.1, and their names now."""

_OLD_TTA = {"average_flips": "flip", "average_shift": "shift", "average_enlarged": "scale"}
"""Names of fields in cards of version 0.1, and their names in ``TTA`` now."""


@dataclass(frozen=True, kw_only=True)
class ColorBins:
    """The chroma bins of a model, and the numbers that the loss and the annealed mean need.

    Attributes:
        cells: Cell (i, j) of each bin (see ``color_bins``), sorted by the first chroma channel,
            then by the second.
        frequencies: Share of the pixels of the training images in each bin, where each pixel is
            divided among its nearest bins; the sum is 1.
        rebalance: Extra weight of rare bins in the loss, in [0, 1). At 0 all bins have the same
            weight; near 1 the weight of a bin is about inverse to its frequency. This is 1 − λ in
            Zhang et al. 2016.
        temperature: Temperature of the annealed mean, above 0. At 1 the result is the mean of the
            distribution, near 0 the most probable bin.

    Raises:
        ValueError: The numbers of bins and frequencies differ, there are fewer than ``NEIGHBORS``
            bins, or a value is out of its range.
    """

    cells: tuple[tuple[int, int], ...]
    frequencies: tuple[float, ...]
    rebalance: float
    temperature: float

    def __post_init__(self) -> None:
        if len(self.cells) != len(self.frequencies) or len(self.cells) < NEIGHBORS:
            raise ValueError(
                f"{len(self.cells)} bins and {len(self.frequencies)} frequencies: both numbers must"
                f" be equal, and at least {NEIGHBORS}"
            )
        if not all(0 <= share < math.inf for share in self.frequencies):
            raise ValueError("a frequency is negative or not finite")
        if not (0 <= self.rebalance < 1 and 0 < self.temperature < math.inf):
            raise ValueError(
                f"rebalance {self.rebalance} must be in [0, 1), and temperature {self.temperature}"
                " must be finite and above 0"
            )


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Everything besides the weights that is needed to use a model.

    Attributes:
        network: Canonical text of the network.
        degradation: Text of the degradation that makes the network's input, such as ``gray``.
        target: Name of a registered ``PredictionTarget``.
        color_space: Name of the color space in which targets predict chroma.
        channels: Number of channels of the clean images.
        size: Side of the training images in pixels; height and width if they differ.
        mean: Means of the input's channels, for pixels in [0, 1]; the normalization subtracts them.
        std: Standard deviations of the input's channels; the normalization divides by them.
        output_mean: Means of the clean images' channels.
        output_std: Standard deviations of the clean images' channels.
        data: Name of the data set with the training images.
        bins: Chroma bins if the target predicts a distribution over bins, otherwise ``None``.
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
        """Return the card as a dictionary that can be written as JSON."""
        # `asdict` does not convert `tta`, which is not a dataclass.
        return {**asdict(self), "tta": self.tta.model_dump()}


def read_card_of(file: Path) -> ModelCard:
    """Return the card in the metadata of a weights file, without reading the weights.

    Raises:
        InputError: The file is missing, damaged or no caelab model.
    """
    # Imported only here, because restoring pictures with ONNX models needs no safetensors.
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as content:
            metadata = content.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read weights from {file}: {error}") from error
    if metadata.get("format") not in _READ_FORMATS:
        raise InputError(
            f"{file} holds no caelab model: its metadata does not name the format {FORMAT}."
        )
    return read_card(metadata.get("card", ""), file)


def read_card(text: str, file: Path) -> ModelCard:
    """Return the card that a JSON text describes; names of fields in version 0.1 are allowed.

    Args:
        text: Result of :meth:`ModelCard.to_dict`, as JSON.
        file: Path of the model's file, for error messages.

    Raises:
        InputError: The card is damaged.
    """
    try:
        # In version 0.1 some fields had other names, and test-time augmentation was three fields.
        values = {_RENAMED.get(name, name): value for name, value in json.loads(text).items()}
        old = {_OLD_TTA[name]: values.pop(name) for name in _OLD_TTA if name in values}
        card = TypeAdapter(ModelCard).validate_python({"tta": old, **values})
        _require_sensible(card)
    # JSON with thousands of nested brackets raises RecursionError.
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise damaged(file, error) from error
    return card


def _require_sensible(card: ModelCard) -> None:
    """Raise ``ValueError`` if a card's numbers do not fit together, or are too large for memory."""
    sides = (card.size,) if isinstance(card.size, int) else card.size
    if not all(1 <= side <= MAX_SIDE for side in sides):
        raise ValueError(f"size {card.size} is not between 1 and {MAX_SIDE}")
    inputs, outputs = len(card.mean), len(card.output_mean)
    if not 1 <= inputs <= outputs == card.channels <= MAX_CHANNELS:
        raise ValueError(
            f"{inputs} input means and {outputs} output means do not fit {card.channels} channels"
        )
    if (len(card.std), len(card.output_std)) != (inputs, outputs):
        raise ValueError("the numbers of means and of standard deviations differ")
    if not all(map(math.isfinite, (*card.mean, *card.output_mean))):
        raise ValueError("a mean is not finite")
    if not all(0 < deviation < math.inf for deviation in (*card.std, *card.output_std)):
        raise ValueError("a standard deviation is not positive and finite")


def damaged(file: Path, error: Exception) -> InputError:
    """Return the error for a file whose metadata cannot be understood."""
    reason = " ".join(str(error).split())
    return InputError(f"{file}: the description in its metadata is damaged ({reason}).")
