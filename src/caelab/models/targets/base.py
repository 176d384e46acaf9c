"""The base class of prediction targets."""

from abc import abstractmethod
from typing import ClassVar, Protocol, Self

from torch import Tensor, nn

from caelab.data.device_images import DeviceImages
from caelab.models.card import ColorBins, ModelCard
from caelab.registry import Registry


class TargetOptions(Protocol):
    """What a run's configuration says about its target; see ``experiments.config.TargetConfig``."""

    @property
    def color_space(self) -> str:
        """Name of the color space of chroma."""

    @property
    def bins(self) -> int:
        """Number of chroma bins."""

    @property
    def rebalance(self) -> float:
        """Extra weight of rare bins, in [0, 1)."""

    @property
    def temperature(self) -> float:
        """Temperature of the mean over bins, above 0."""


class PredictionTarget(nn.Module):
    """What a network's output means: how it becomes an image, and what a loss compares it with.

    network ──► raw ──► :meth:`output` ──► :meth:`answer` ──► :meth:`image`

    The loss compares :meth:`output` with :meth:`target`; test-time augmentation averages
    :meth:`output`. Subclasses are registered with ``caelab.register``.

    >>> import caelab, torch
    >>> class Squared(caelab.PredictionTarget):
    ...     name = "squared"
    ...     summary = "the square of the output"
    ...     losses = ("values",)
    ...
    ...     @classmethod
    ...     def from_card(cls, card):
    ...         return cls()
    ...
    ...     def answer(self, output):
    ...         return output.square().clamp(0, 1)
    >>> Squared().answer(torch.full((1, 3, 8, 8), -0.5)).mean()
    tensor(0.2500)

    Attributes:
        name: Word for the kind in configurations and cards.
        summary: One line for help texts.
        losses: Kinds of losses that fit, by the outputs they take: ``"values"``, ``"logits"``
            or ``"classes"``.
        needs_luminance: True where the image is merged with the input's luminance.
        loss_prefix: Prefix of the loss's name if the loss does not compare images.
        color_space: Name of the color space whose chroma :meth:`answer` returns; ``None`` if it
            returns an image.
        channels: Channels of the network's output.
    """

    registry: ClassVar[Registry["PredictionTarget"]] = Registry("prediction target")
    name: ClassVar[str]
    summary: ClassVar[str]
    losses: ClassVar[tuple[str, ...]]
    needs_luminance: ClassVar[bool] = False
    loss_prefix: ClassVar[str] = ""
    color_space: str | None = None
    channels: int

    @classmethod
    def output_channels(cls, options: TargetOptions, channels: int) -> int:
        """Return the channels of the network's output for clean images of ``channels``."""
        del options
        return channels

    @classmethod
    def measure(cls, options: TargetOptions, train: DeviceImages) -> ColorBins | None:
        """Return the chroma bins of the training images where the target needs them."""
        del options, train
        return None

    @classmethod
    def name_with(cls, loss: str) -> str:  # noqa: ARG003
        """Return the name of the model's target when it is trained by a loss of this kind."""
        return cls.name

    @classmethod
    @abstractmethod
    def from_card(cls, card: ModelCard) -> Self:
        """Return the target of a model with this card."""

    @property
    def affine(self) -> tuple[Tensor, Tensor] | None:
        """Scale and shift by :meth:`output`, each ``(C,)``; ``None`` where it changes nothing."""
        return None

    def output(self, raw: Tensor) -> Tensor:
        """Convert the network's output ``float32 (N, C', H, W)`` to the unit of :meth:`target`."""
        return raw

    def target(self, clean: Tensor) -> Tensor:
        """Return what :meth:`output` is compared with: clean images in [0, 1] ``(N, C, H, W)``."""
        return clean

    @abstractmethod
    def answer(self, output: Tensor) -> Tensor:
        """Return the image in [0, 1] ``(N, C, H, W)``, or chroma ``(N, 2, H, W)``, of an output."""

    def image(self, output: Tensor, degraded: Tensor) -> Tensor:  # noqa: ARG002
        """Return the image in [0, 1], ``(N, C, H, W)``.

        Args:
            output: What :meth:`output` returned, averaged or not.
            degraded: The network's input, ``(N, C'', H, W)`` in [0, 1].
        """
        return self.answer(output)
