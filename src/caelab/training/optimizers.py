"""The kinds of optimizers, and the learning rate; ``@register`` adds a user's own optimizer.

PyTorch is imported only when an optimizer is made, so that the names of the optimizers can be
listed without PyTorch.
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
"""Peak of the learning rate for the reference network, chosen on validation images."""

REFERENCE_FAN_IN = 144
"""Largest fan-in of a layer of the reference network: 16 input channels of 3×3 weights."""

SCHEDULES: Mapping[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: 0.5 * (1.0 + math.cos(math.pi * progress)),
}
"""Learning-rate schedules by name. Each schedule is a function of the progress after the warm-up,
in [0, 1). It returns the learning rate divided by the peak rate."""


class OptimizerKind:
    """Base class of the kinds of optimizers; :meth:`make` returns a PyTorch optimizer.

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

    If ``@caelab.register`` stands before the class, ``optimizer="momentum"`` or
    ``--optimizer momentum`` chooses this optimizer.

    Attributes:
        name: Value of ``optimizer.kind`` that chooses the optimizer.
        help: Description of the optimizer in one line, for help texts.
    """

    registry: ClassVar["Registry[OptimizerKind]"] = Registry("optimizer")
    name: ClassVar[str]
    help: ClassVar[str] = ""

    def make(
        self, parameters: "list[nn.Parameter]", *, learning_rate: float, weight_decay: float
    ) -> "Optimizer":
        """Return a new optimizer for some parameters.

        Checkpoints contain the optimizer's state, which must consist of tensors and plain values.

        Args:
            parameters: Parameters that the optimizer updates.
            learning_rate: Peak of the learning rate. ``fit`` sets the rate of each step in
                ``param_groups``.
            weight_decay: Decoupled weight decay: each step multiplies the weights by
                1 − rate · ``weight_decay``.
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
        """Return a :class:`caelab.training.soap.SOAP` optimizer.

        Args:
            parameters: Parameters to train.
            learning_rate: Peak of the learning rate.
            weight_decay: Decoupled weight decay: each step multiplies the weights by
                1 − rate · ``weight_decay``.
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
            learning_rate: Peak of the learning rate.
            weight_decay: Decoupled weight decay: each step multiplies the weights by
                1 − rate · ``weight_decay``.
        """
        from torch.optim import AdamW

        # With `foreach`, one call updates many parameters. On a CPU, PyTorch's default is one call
        # per parameter.
        return AdamW(parameters, lr=learning_rate, weight_decay=weight_decay, foreach=True)


@register
class AdamKind(AdamWKind):
    """Adam (Kingma and Ba 2015), computed by AdamW, which equals Adam if the weight decay is 0."""

    name = "adam"
    help = "the same as adamw, which is Adam if the weight decay is 0"


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
    """Return the optimizer that the configuration names, for the network's parameters."""
    return OptimizerKind.registry[config.kind]().make(
        list(network.parameters()),
        learning_rate=peak_learning_rate(config, network),
        weight_decay=config.weight_decay,
    )


def peak_learning_rate(config: OptimizerConfig, network: "nn.Module") -> float:
    """Return the configured learning rate, or a default that suits the layer of largest fan-in.

    Each entry of an update is about as large as the learning rate, so a step changes a layer's
    output by about the rate times the layer's fan-in. If a layer has a larger fan-in than all
    layers of the reference network, the default rate is smaller in proportion (Yang et al. 2022,
    arXiv 2203.03466, table 8).
    """
    from caelab.networks.modules import parametric_layers

    if config.learning_rate is not None:
        return config.learning_rate
    # All layers have the same rate, so the layer with the largest fan-in limits the rate.
    widest = max((layer.fan_in for layer in parametric_layers(network)), default=REFERENCE_FAN_IN)
    return REFERENCE_RATE * min(1.0, REFERENCE_FAN_IN / widest)


def rate_factor(config: OptimizerConfig, step: int, steps: int) -> float:
    """Return the learning rate of a step as a factor of its peak, in (0, 1].

    During the warm-up, the factor rises linearly to 1. Then it follows the schedule, which stays
    at 1 or falls toward 0 and would reach 0 after the last step.

    >>> config = OptimizerConfig(warmup=0.2, lr_schedule="linear")
    >>> [rate_factor(config, step, 10) for step in (0, 1, 2, 6)]
    [0.5, 1.0, 1.0, 0.5]

    Args:
        config: Its field ``warmup`` is the share of all steps that belong to the warm-up, and
            ``lr_schedule`` is a key of ``SCHEDULES``.
        step: Index of the step, in 0 … ``steps`` − 1.
        steps: Number of steps of the whole run.
    """
    # At first, the optimizer's moments and bases come from few gradients, so steps should be small.
    warmup = round(config.warmup * steps)
    if step < warmup:
        return (step + 1) / warmup
    return SCHEDULES[config.lr_schedule]((step - warmup) / max(1, steps - warmup))
