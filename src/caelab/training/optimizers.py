"""The optimizers, one class each, and the learning rate; ``@register`` adds a user's own class.

PyTorch is imported only when an optimizer is made, so that their names can be listed without it.
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from caelab.registry import Registry, register
from caelab.training.config import Finite, KindName, Table

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

REFERENCE_RATE = 8e-3
"""Peak of the learning rate that suits the reference network, chosen on validation images."""

REFERENCE_FAN_IN = 144
"""Fan-in of the reference network's widest layer: 16 channels of 3×3 weights."""

SCHEDULES: Mapping[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: 0.5 * (1.0 + math.cos(math.pi * progress)),
}
"""Functions that give the learning rate after the warm-up, as a factor of its peak.

The argument is the share of the steps after the warm-up that are done, in [0, 1).
"""


class OptimizerKind:
    """Base class of the optimizers; a subclass makes one.

    >>> import caelab, torch
    >>> class Momentum(caelab.OptimizerKind):
    ...     name = "momentum"
    ...     help = "gradient descent with momentum"
    ...
    ...     def make(self, parameters, *, learning_rate, weight_decay):
    ...         return torch.optim.SGD(parameters, lr=learning_rate, momentum=0.9)
    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> made = Momentum().make([weight], learning_rate=0.1, weight_decay=0)
    >>> made.param_groups[0]["lr"]
    0.1

    After ``@caelab.register``, ``optimizer="momentum"`` and ``--optimizer momentum`` choose it.

    Attributes:
        name: Value of ``optimizer.kind`` that chooses the optimizer.
        help: What it is, in one line.
    """

    registry: ClassVar["Registry[OptimizerKind]"] = Registry("optimizer")
    name: ClassVar[str]
    help: ClassVar[str] = ""

    def make(
        self, parameters: "list[nn.Parameter]", *, learning_rate: float, weight_decay: float
    ) -> "Optimizer":
        """Return the optimizer, whose state must consist of tensors and plain values.

        Args:
            parameters: What it updates.
            learning_rate: Peak of the learning rate; ``fit`` sets the rate of each step in
                ``param_groups``.
            weight_decay: Decoupled weight decay: each step multiplies weights by 1 − rate · decay.
        """
        raise NotImplementedError(f"{type(self).__qualname__} must define `make`")


@register
class SoapKind(OptimizerKind):
    """SOAP (Vyas et al. 2024)."""

    name = "soap"
    help = "Adam in the eigenbasis of the gradient's covariance"

    def make(
        self, parameters: "list[nn.Parameter]", *, learning_rate: float, weight_decay: float
    ) -> "Optimizer":
        """Return :class:`caelab.training.soap.SOAP`.

        Args:
            parameters: Parameters to train.
            learning_rate: Step size.
            weight_decay: Decoupled weight decay, multiplied by the step size.
        """
        from caelab.training.soap import SOAP

        return SOAP(parameters, lr=learning_rate, weight_decay=weight_decay)


@register
class AdamWKind(OptimizerKind):
    """AdamW (Loshchilov and Hutter 2019)."""

    name = "adamw"
    help = "Adam with decoupled weight decay"

    def make(
        self, parameters: "list[nn.Parameter]", *, learning_rate: float, weight_decay: float
    ) -> "Optimizer":
        """Return PyTorch's AdamW.

        Args:
            parameters: Parameters to train.
            learning_rate: Step size.
            weight_decay: Decoupled weight decay, multiplied by the step size.
        """
        from torch.optim import AdamW

        # `foreach` makes few calls for many small parameters; on a CPU it is not the default.
        return AdamW(parameters, lr=learning_rate, weight_decay=weight_decay, foreach=True)


@register
class AdamKind(AdamWKind):
    """Adam (Kingma and Ba 2015): AdamW by another name, which is Adam if the weight decay is 0."""

    name = "adam"
    help = "the same as adamw; without weight decay it is Adam"


class OptimizerConfig(Table):
    """Optimizer and learning rate."""

    kind: Annotated[str, KindName(OptimizerKind.registry)] = Field(
        default="soap", description="The optimizer."
    )
    learning_rate: Finite | None = Field(
        default=None,
        gt=0,
        description=(
            "Peak of the learning rate. If it is not given: 0.008, or less for wide layers."
        ),
    )
    weight_decay: Finite = Field(
        default=0.0, ge=0, description="Decoupled weight decay, as in AdamW."
    )
    warmup: Finite = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="Share of all steps in which the rate rises to its peak.",
    )
    lr_schedule: Literal["constant", "linear", "cosine"] = Field(
        default="linear",
        description=(
            "Learning rate after its peak: constant, or falling to 0 along a line or a cosine."
        ),
    )
    grad_clip: Finite | None = Field(
        default=None, gt=0, description="Largest norm of the gradient; unlimited if not given."
    )


def make_optimizer(config: OptimizerConfig, network: "nn.Module") -> "Optimizer":
    """Return the configuration's optimizer over the network's parameters."""
    return OptimizerKind.registry[config.kind]().make(
        list(network.parameters()),
        learning_rate=peak_learning_rate(config, network),
        weight_decay=config.weight_decay,
    )


def peak_learning_rate(config: OptimizerConfig, network: "nn.Module") -> float:
    """Return the configuration's learning rate, or one that suits the network's widest layer.

    Each entry of an update is about as large as the learning rate, so a step changes a layer's
    output by about the rate times the layer's fan-in. The default rate therefore falls in
    proportion where a layer is wider than the widest of the reference network (Yang et al. 2022,
    arXiv 2203.03466, table 8).
    """
    from caelab.networks.modules import parametric_layers

    if config.learning_rate is not None:
        return config.learning_rate
    # All layers have the same rate, so the layer that tolerates the least decides.
    widest = max((layer.fan_in for layer in parametric_layers(network)), default=REFERENCE_FAN_IN)
    return REFERENCE_RATE * min(1.0, REFERENCE_FAN_IN / widest)


def rate_factor(config: OptimizerConfig, step: int, steps: int) -> float:
    """Return the learning rate of a step as a factor of its peak, in (0, 1].

    The warm-up rises linearly to 1; then the schedule falls towards 0, which it would reach after
    the last step.

    >>> config = OptimizerConfig(warmup=0.2, lr_schedule="linear")
    >>> [rate_factor(config, step, 10) for step in (0, 1, 2, 6)]
    [0.5, 1.0, 1.0, 0.5]

    Args:
        config: ``warmup``, the share of all steps, and ``lr_schedule``, a key of ``SCHEDULES``.
        step: Index of the step, in 0 … ``steps`` − 1.
        steps: Number of steps of the whole run.
    """
    # At first the moments and bases depend on few gradients, so the steps are small.
    warmup = round(config.warmup * steps)
    if step < warmup:
        return (step + 1) / warmup
    return SCHEDULES[config.lr_schedule]((step - warmup) / max(1, steps - warmup))
