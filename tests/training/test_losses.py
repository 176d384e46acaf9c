import numpy as np
import pytest
import scipy.special
import torch
from torch import Tensor

from caelab.training.losses import Charbonnier, Huber, Loss, LossConfig, make_loss

RNG = np.random.default_rng(0)
OUTPUT, TARGET = RNG.normal(size=(3, 3, 4, 4)), RNG.uniform(size=(3, 3, 4, 4))
EVERY = pytest.mark.parametrize("kind", list(Loss.registry.values()), ids=list(Loss.registry))


def problem(kind: type[Loss]) -> tuple[Tensor, Tensor, Tensor]:
    """Return an output, its target and the output that is best, in float64."""
    output, target = torch.from_numpy(OUTPUT), torch.from_numpy(TARGET)
    if kind.output == "values":
        return output, target, target
    if kind.output == "logits":
        return output, target, torch.logit(target)
    shares = target / target.sum(1, keepdim=True)
    classes = torch.arange(3.0).view(1, 3, 1, 1).expand_as(shares)
    return output, torch.cat([classes, shares], dim=1), shares.log()


@EVERY
def test_contract_the_gradient_is_right(kind: type[Loss]) -> None:
    output, target, _ = problem(kind)
    output.requires_grad_()
    exact = torch.autograd.grad(kind()(output, target), output)[0]
    for index in [(0, 0, 0, 0), (1, 2, 3, 0), (2, 1, 1, 3)]:
        step = torch.zeros_like(output)
        step[index] = 1e-5
        with torch.no_grad():
            slope = (kind()(output + step, target) - kind()(output - step, target)) / 2e-5
        torch.testing.assert_close(exact[index], slope, rtol=1e-5, atol=1e-9)


@EVERY
def test_contract_the_best_output_is_the_minimum(kind: type[Loss]) -> None:
    output, target, best = problem(kind)
    best = best.clone().requires_grad_()
    least = kind()(best, target)
    (slope,) = torch.autograd.grad(least, best)
    assert least.shape == ()
    assert float(slope.abs().max()) < 1e-12
    assert float(least.detach()) < float(kind()(output, target))
    if kind.output == "values":
        assert float(least.detach()) == pytest.approx(0, abs=1e-3)


@EVERY
def test_contract_it_is_a_mean_over_images(kind: type[Loss]) -> None:
    output, target, _ = problem(kind)
    whole = kind()(output, target)
    order = torch.tensor([2, 0, 1])
    parts = [kind()(output[index : index + 1], target[index : index + 1]) for index in range(3)]
    torch.testing.assert_close(kind()(output[order], target[order]), whole)
    torch.testing.assert_close(torch.stack(parts).mean(), whole)


@EVERY
def test_contract_the_configuration_makes_it(kind: type[Loss]) -> None:
    output, target, _ = problem(kind)
    loss = make_loss(LossConfig(kind=kind.name))
    assert type(loss) is kind
    torch.testing.assert_close(loss(output, target), kind()(output, target))
    assert kind.help


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mse", np.mean((OUTPUT - TARGET) ** 2)),
        ("l1", np.mean(np.abs(OUTPUT - TARGET))),
        ("huber", np.mean(scipy.special.huber(1, OUTPUT - TARGET))),
        ("charbonnier", np.mean(np.hypot(OUTPUT - TARGET, Charbonnier().epsilon))),
        (
            "bce",
            -np.mean(
                TARGET * scipy.special.log_expit(OUTPUT)
                + (1 - TARGET) * scipy.special.log_expit(-OUTPUT)
            ),
        ),
    ],
)
def test_losses_are_those_of_numpy_and_scipy(name: str, expected: float) -> None:
    loss = Loss.registry[name]()(torch.from_numpy(OUTPUT), torch.from_numpy(TARGET))
    np.testing.assert_allclose(loss.item(), expected)


@pytest.mark.parametrize("delta", [0.1, 0.5, 3.0])
def test_huber_is_scipys_for_every_delta(delta: float) -> None:
    loss = make_loss(LossConfig(kind="huber", huber_delta=delta))
    assert isinstance(loss, Huber)
    found = loss(torch.from_numpy(OUTPUT), torch.from_numpy(TARGET))
    np.testing.assert_allclose(found.item(), np.mean(scipy.special.huber(delta, OUTPUT - TARGET)))
