"""The card of a model: what must be known to use its weights."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from caelab.models.color_bins import ColorBins
from caelab.models.tta import TTA

_RENAMED = {"impair": "degradation", "predict": "target", "space": "color_space"}
_OLD_TTA = {"average_flips": "flip", "average_shift": "shift", "average_enlarged": "scale"}


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What must be known to use weights.

    Attributes:
        network: Canonical text of the network.
        degradation: Text of what was done to the network's input.
        target: Name of a registered ``PredictionTarget``.
        color_space: Name of the color space of chroma.
        channels: Channels of the clean images.
        size: Height and width of the training images, in pixels.
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
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    output_mean: tuple[float, ...]
    output_std: tuple[float, ...]
    data: str
    bins: ColorBins | None = None
    tta: TTA = field(default_factory=TTA)

    def to_dict(self) -> dict[str, Any]:
        """Return the card as JSON's types."""
        return {**asdict(self), "tta": self.tta.model_dump()}


def read_card(content: Mapping[str, Any]) -> ModelCard:
    """Invert :meth:`ModelCard.to_dict`; cards with the names of earlier versions are read too.

    Raises:
        KeyError, TypeError, ValueError: The card is damaged.
    """
    # Version 0.1 named some fields otherwise, and test-time augmentation was three of them.
    values = {_RENAMED.get(name, name): value for name, value in content.items()}
    old = {_OLD_TTA[name]: values.pop(name) for name in _OLD_TTA if name in values}
    values["tta"] = TTA(**values.get("tta", old))
    for name in ("mean", "std", "output_mean", "output_std"):
        values[name] = tuple(values[name])
    if (bins := values.get("bins")) is not None:
        cells = tuple((int(first), int(second)) for first, second in bins["cells"])
        frequencies = tuple(map(float, bins["frequencies"]))
        values["bins"] = ColorBins(**{**bins, "cells": cells, "frequencies": frequencies})
    return ModelCard(**values)
