"""The kinds of losses; ``@register`` adds a user's own loss.

PyTorch is imported only when a loss is computed, so that the names of the losses can be listed
without PyTorch.
"""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field

from caelab.registry import Registry, register
from caelab.training.config import Finite, KindName, Table

if TYPE_CHECKING:
    from torch import Tensor


class Loss:
    """Base class of the losses; an instance computes the mean loss of a batch.

    >>> import caelab, torch
    >>> class LogCosh(caelab.Loss):
    ...     name = "logcosh"
    ...     help = "logarithm of the hyperbolic cosine of the error"
    ...
    ...     def __call__(self, output, target):
    ...         return (output - target).cosh().log().mean()
    >>> LogCosh()(torch.ones(2, 3, 8, 8), torch.zeros(2, 3, 8, 8))
    tensor(0.4338)

    If ``@caelab.register`` stands before the class, ``loss="logcosh"`` or ``--loss logcosh``
    chooses this loss.

    Attributes:
        name: Value of ``loss.kind`` that chooses the loss. It is also the end of the name of the
            loss's column in ``epochs.csv``, such as ``train_mse``.
        help: Description of the loss in one line, for help texts.
        output: Meaning of the network's output: ``"values"`` are in the unit of the target,
            ``"logits"`` are logits of pixel values in [0, 1], and ``"classes"`` are logits of
            chroma bins.
    """

    registry: ClassVar["Registry[Loss]"] = Registry("loss")
    name: ClassVar[str]
    help: ClassVar[str] = ""
    output: ClassVar[Literal["values", "logits", "classes"]] = "values"

    @classmethod
    def from_config(cls, config: "LossConfig") -> Self:  # noqa: ARG003
        """Return the loss with its options from ``config``; the base class passes no options."""
        return cls()

    def __call__(self, output: "Tensor", target: "Tensor") -> "Tensor":
        """Return the mean loss over all images, a scalar that is differentiable in ``output``.

        On a CPU each thread computes the loss of a part of the batch, and the losses of the parts
        are averaged. So the loss must be a mean over images; a maximum over the batch would be
        wrong.

        Args:
            output: Output of the network, ``float32 (N, C, H, W)``.
            target: The value that ``output`` is compared with, of the same shape. For ``"classes"``
                the shape is ``(N, 2K, H, W)``; see :class:`CrossEntropy`.
        """
        raise NotImplementedError(f"{type(self).__qualname__} must define `__call__`")


class _TorchLoss(Loss):
    """A loss that calls a function of ``torch.nn.functional``; ``function`` is its name."""

    function: ClassVar[str]

    def __call__(self, output: "Tensor", target: "Tensor") -> "Tensor":
        """Return the mean over all pixels and channels."""
        from torch.nn import functional

        loss: Tensor = getattr(functional, self.function)(output, target)
        return loss


@register
class MeanSquaredError(_TorchLoss):
    """Mean squared difference over pixels and channels; the mean of the targets minimizes it."""

    name = "mse"
    help = "squared error"
    function = "mse_loss"


@register
class MeanAbsoluteError(_TorchLoss):
    """Mean absolute difference over pixels and channels; a median of the targets minimizes it."""

    name = "l1"
    help = "absolute error"
    function = "l1_loss"


@register
class Huber(Loss):
    """Mean of d²/2 for ``|d|`` ≤ δ, and of δ(``|d|`` − δ/2) for larger differences d (Huber 1964).

    Args:
        delta: δ, in the unit of the target, above 0.

    >>> import torch
    >>> Huber(delta=0.5)(torch.tensor([0.2, 2.0]), torch.zeros(2))
    tensor(0.4475)
    """

    name = "huber"
    help = "squared error up to huber_delta, absolute beyond"

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = delta

    @classmethod
    def from_config(cls, config: "LossConfig") -> Self:
        """Return the loss with the configuration's ``huber_delta``."""
        return cls(config.huber_delta)

    def __call__(self, output: "Tensor", target: "Tensor") -> "Tensor":
        """Return the mean over all pixels and channels, in the squared unit of the target."""
        from torch.nn.functional import huber_loss

        return huber_loss(output, target, delta=self.delta)


@register
class Charbonnier(Loss):
    """Mean of √(d² + ε²), a smooth absolute error (Charbonnier et al. 1994).

    Args:
        epsilon: ε, in the unit of the target. For differences below ε, the loss is about quadratic.
    """

    name = "charbonnier"
    help = "smooth absolute error"

    def __init__(self, epsilon: float = 1e-3) -> None:
        self.epsilon = epsilon

    def __call__(self, output: "Tensor", target: "Tensor") -> "Tensor":
        """Return the mean over all pixels and channels, in the unit of the target; at least ε."""
        # ε keeps the slope of the root finite where output and target are equal.
        return ((output - target).square() + self.epsilon**2).sqrt().mean()


@register
class BinaryCrossEntropy(_TorchLoss):
    """Mean binary cross-entropy of logits, in nats; pixel values are treated as probabilities.

    The smallest value is not 0 but the entropy of the pixel values.
    """

    name = "bce"
    help = "binary cross-entropy of logits"
    output = "logits"
    function = "binary_cross_entropy_with_logits"


@register
class CrossEntropy(Loss):
    """Mean cross-entropy over pixels, in nats; the target gives shares to a few of the classes."""

    name = "cross_entropy"
    help = "cross-entropy of chroma bins"
    output = "classes"

    def __call__(self, output: "Tensor", target: "Tensor") -> "Tensor":
        """Return the mean over pixels of −Σ share · log probability of the class.

        Args:
            output: Logits of Q classes, ``(N, Q, H, W)``.
            target: For each pixel the indices of K classes, then the shares of these K classes,
                ``(N, 2K, H, W)``. The shares of a pixel need not add up to 1: their sum is the
                pixel's weight in the loss.
        """
        from caelab.kernels.sparse_cross_entropy import sparse_cross_entropy

        # A target is a single tensor, so it holds both indices and shares. float32 represents the
        # indices exactly.
        classes, shares = target.chunk(2, dim=1)
        return sparse_cross_entropy(output, classes.long(), shares)


class LossConfig(Table):
    """The loss that training minimizes, and its options."""

    kind: Annotated[str, KindName(Loss.registry)] = Field(
        default="mse", description="What training minimizes."
    )
    huber_delta: Finite = Field(
        default=1.0, gt=0, description="Difference from which the Huber error grows linearly."
    )
    class_loss_weight: Finite = Field(
        default=0.1,
        gt=0,
        le=100,
        description="Weight of the labels' cross-entropy, for networks with a classify layer.",
    )
    color_loss_weight: Finite = Field(
        default=0.0,
        ge=0,
        le=100,
        description="Weight of the CIEDE2000 color difference to the clean image.",
    )


def make_loss(config: LossConfig) -> Loss:
    """Return the loss that the configuration names, with its options.

    >>> make_loss(LossConfig(kind="huber", huber_delta=0.1)).delta
    0.1
    """
    return Loss.registry[config.kind].from_config(config)
