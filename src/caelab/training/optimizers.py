"""Optimizers, by the name they have in a run's configuration."""

from collections.abc import Callable, Iterable, Mapping

from torch import nn, optim

from caelab.training.soap import SOAP

Factory = Callable[[list[nn.Parameter], float, float], optim.Optimizer]

OPTIMIZERS: Mapping[str, Factory] = {
    "soap": lambda parameters, rate, decay: SOAP(parameters, lr=rate, weight_decay=decay),
    "adamw": lambda parameters, rate, decay: optim.AdamW(
        parameters, lr=rate, weight_decay=decay, foreach=True
    ),
    "adam": lambda parameters, rate, decay: optim.Adam(
        parameters, lr=rate, weight_decay=decay, decoupled_weight_decay=True, foreach=True
    ),
}


def make_optimizer(
    name: str, parameters: Iterable[nn.Parameter], *, learning_rate: float, weight_decay: float
) -> optim.Optimizer:
    """Return the optimizer called ``name`` over ``parameters``; weight decay is decoupled in all of
    them.
    """
    return OPTIMIZERS[name](list(parameters), learning_rate, weight_decay)
