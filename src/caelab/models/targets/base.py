"""The base class of prediction targets."""

from abc import abstractmethod
from typing import ClassVar, Protocol, Self

from torch import Tensor, nn

from caelab.data.device_images import DeviceImages
from caelab.models.card import ColorBins, ModelCard
from caelab.registry import Registry


class TargetOptions(Protocol):
    """The fields of a run's configuration (``experiments.config.TargetConfig``) for its target."""

    @property
    def color_space(self) -> str:
        """Name of the color space whose chroma the network predicts."""

    @property
    def bins(self) -> int:
        """Number of chroma bins."""

    @property
    def rebalance(self) -> float:
        """Extra weight of rare bins in the loss, in [0, 1); 0 for none."""

    @property
    def temperature(self) -> float:
        """Temperature of the annealed mean over bins, above 0."""


class PredictionTarget(nn.Module):
    """What a network's output means: how it becomes an image, and what a loss compares it with.

    network ──► raw ──► :meth:`output` ──► :meth:`answer` ──► :meth:`image`

    The loss compares :meth:`output` with :meth:`target`. Test-time augmentation averages the
    results of :meth:`output`. Subclasses are registered with ``caelab.register``.

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
        name: Name of the target in configurations and cards.
        summary: Description of the target in one line, for help texts.
        losses: Values of ``Loss.output`` of the losses that fit the target: ``"values"``,
            ``"logits"`` or ``"classes"``.
        needs_luminance: True if the answer is merged with the input's luminance.
        loss_prefix: Prefix of the loss's name in results if the loss does not compare images, such
            as ``chroma_``.
        color_space: Name of the color space whose chroma :meth:`answer` returns; ``None`` if
            :meth:`answer` returns an image.
        channels: Number of channels of the network's output.
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
        """Return the number of channels of the network's output.

        Args:
            options: The target's options from the run's configuration.
            channels: Number of channels of the clean images.
        """
        del options
        return channels

    @classmethod
    def measure(cls, options: TargetOptions, train: DeviceImages) -> ColorBins | None:
        """Choose chroma bins from training images; return ``None`` if the target has no bins."""
        del options, train
        return None

    @classmethod
    def name_with(cls, loss: str) -> str:  # noqa: ARG003
        """Return the target's name in the card of a model that is trained with a loss.

        Args:
            loss: The attribute ``output`` of the loss.
        """
        return cls.name

    @classmethod
    @abstractmethod
    def from_card(cls, card: ModelCard) -> Self:
        """Return the target that a model's card describes."""

    @property
    def affine(self) -> tuple[Tensor, Tensor] | None:
        """Scale and shift that :meth:`output` applies, ``(C,)`` each; ``None`` for no change."""
        return None

    def output(self, raw: Tensor) -> Tensor:
        """Convert the network's output ``float32 (N, C', H, W)`` to the unit of :meth:`target`."""
        return raw

    def target(self, clean: Tensor) -> Tensor:
        """Return what the loss compares with :meth:`output`.

        Args:
            clean: Clean images in [0, 1], ``(N, C, H, W)``.
        """
        return clean

    @abstractmethod
    def answer(self, output: Tensor) -> Tensor:
        """Return the image in [0, 1] or, if ``color_space`` is set, the chroma.

        Args:
            output: Result of :meth:`output`, or a mean of such results, ``(N, K, H, W)``.

        Returns:
            The image ``(N, C, H, W)`` or the chroma ``(N, 2, H, W)``.
        """

    def image(self, output: Tensor, degraded: Tensor) -> Tensor:  # noqa: ARG002
        """Return the image in [0, 1], ``(N, C, H, W)``.

        Args:
            output: Result of :meth:`output`, or a mean of such results.
            degraded: The network's input, ``(N, C'', H, W)`` in [0, 1].
        """
        return self.answer(output)
