"""The losses, one class each; ``@register`` adds a user's own class.

PyTorch is imported only when a loss is computed, so that their names can be listed without it.
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

    ``@caelab.register`` makes ``loss="logcosh"`` and ``--loss logcosh`` of it.

    Attributes:
        name: Value of ``loss.kind`` that chooses the loss; its column in ``epochs.csv``.
        help: What it is, in one line.
        output: What the network's output is: ``"values"`` in the unit of the target, ``"logits"``
            of pixel values in [0, 1], or ``"classes"``, which are logits of chroma bins.
    """

    registry: ClassVar["Registry[Loss]"] = Registry("loss")
    name: ClassVar[str]
    help: ClassVar[str] = ""
    output: ClassVar[Literal["values", "logits", "classes"]] = "values"

    @classmethod
    def from_config(cls, config: "LossConfig") -> Self:  # noqa: ARG003
        """Return the loss with its options from the configuration; by default it has none."""
        return cls()

    def __call__(self, output: "Tensor", target: "Tensor") -> "Tensor":
        """Return the mean over all images, a scalar that is differentiable in ``output``.

        On a CPU each thread computes the loss of a part of the batch, and these are averaged. So
        the loss must be a mean over images; a maximum over the batch would be wrong.

        Args:
            output: What the network gave, ``float32 (N, C, H, W)``.
            target: What it is compared with: of the same shape, but for ``"classes"``, where it is
                ``(N, 2K, H, W)``; see :class:`CrossEntropy`.
        """
        raise NotImplementedError(f"{type(self).__qualname__} must define `__call__`")


class _TorchLoss(Loss):
    """A loss that is a function of ``torch.nn.functional``."""

    function: ClassVar[str]

    def __call__(self, output: "Tensor", target: "Tensor") -> "Tensor":
        """Return the mean over all pixels and channels."""
        from torch.nn import functional

        loss: Tensor = getattr(functional, self.function)(output, target)
        return loss


@register
class MeanSquaredError(_TorchLoss):
    """Mean of the squared difference over all pixels and channels; its minimizer is the mean."""

    name = "mse"
    help = "squared error"
    function = "mse_loss"


@register
class MeanAbsoluteError(_TorchLoss):
    """Mean absolute difference over all pixels and channels; its minimizer is the median."""

    name = "l1"
    help = "absolute error"
    function = "l1_loss"


@register
class Huber(Loss):
    """Mean of d²/2 for differences ``|d|`` up to δ, and of δ(``|d|`` − δ/2) above (Huber 1964).

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
        """Return the mean, in the squared unit of the target."""
        from torch.nn.functional import huber_loss

        return huber_loss(output, target, delta=self.delta)


@register
class Charbonnier(Loss):
    """Mean of √(d² + ε²), a smooth absolute error (Charbonnier et al. 1994).

    Args:
        epsilon: ε, in the unit of the target; smaller differences count about squared.
    """

    name = "charbonnier"
    help = "smooth absolute error"

    def __init__(self, epsilon: float = 1e-3) -> None:
        self.epsilon = epsilon

    def __call__(self, output: "Tensor", target: "Tensor") -> "Tensor":
        """Return the mean, in the unit of the target; at its minimum it is ε."""
        # ε keeps the root's slope finite where output and target agree.
        return ((output - target).square() + self.epsilon**2).sqrt().mean()


@register
class BinaryCrossEntropy(_TorchLoss):
    """Mean cross-entropy, in nats, of logits and of pixel values taken as probabilities.

    Its minimum is not 0 but the values' entropy.
    """

    name = "bce"
    help = "binary cross-entropy of logits"
    output = "logits"
    function = "binary_cross_entropy_with_logits"


@register
class CrossEntropy(Loss):
    """Mean cross-entropy over pixels, in nats, of targets that are shares of a few classes."""

    name = "cross_entropy"
    help = "cross-entropy of chroma bins"
    output = "classes"

    def __call__(self, output: "Tensor", target: "Tensor") -> "Tensor":
        """Return the mean.

        Args:
            output: Logits of Q classes, ``(N, Q, H, W)``.
            target: ``(N, 2K, H, W)``: the indices of K classes, then the share of each. The shares
                of a pixel need not add up to 1; their sum is the pixel's weight.
        """
        from caelab.kernels.sparse_cross_entropy import sparse_cross_entropy

        # Every target is one tensor, so indices and shares share it; float32 holds indices exactly.
        classes, shares = target.chunk(2, dim=1)
        return sparse_cross_entropy(output, classes.long(), shares)


class LossConfig(Table):
    """What training minimizes."""

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
