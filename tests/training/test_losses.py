import numpy as np
import pytest
import scipy.special
import torch

from caelab.training.losses import CHARBONNIER_WIDTH, LOSSES, huber

RNG = np.random.default_rng(0)
OUTPUT, TARGET = RNG.normal(size=(3, 3, 4, 4)), RNG.uniform(size=(3, 3, 4, 4))


def test_mse_is_the_mean_over_everything() -> None:
    terms = LOSSES["mse"](torch.from_numpy(OUTPUT), torch.from_numpy(TARGET))
    np.testing.assert_allclose(terms["mse"].item(), np.mean((OUTPUT - TARGET) ** 2))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("l1", np.mean(np.abs(OUTPUT - TARGET))),
        ("huber", np.mean(scipy.special.huber(1, OUTPUT - TARGET))),
        ("charbonnier", np.mean(np.hypot(OUTPUT - TARGET, CHARBONNIER_WIDTH))),
    ],
)
def test_robust_errors_are_scipys(name: str, expected: float) -> None:
    terms = LOSSES[name](torch.from_numpy(OUTPUT), torch.from_numpy(TARGET))
    assert list(terms) == [name]
    np.testing.assert_allclose(terms[name].item(), expected)


@pytest.mark.parametrize("delta", [0.1, 0.5, 3.0])
def test_huber_is_scipys_for_every_delta(delta: float) -> None:
    loss = huber(torch.from_numpy(OUTPUT), torch.from_numpy(TARGET), delta=delta)["huber"]
    np.testing.assert_allclose(loss.item(), np.mean(scipy.special.huber(delta, OUTPUT - TARGET)))


def test_bce_is_the_cross_entropy_of_the_logistic_function() -> None:
    terms = LOSSES["bce"](torch.from_numpy(OUTPUT), torch.from_numpy(TARGET))
    probability = 1 / (1 + np.exp(-OUTPUT))
    expected = -np.mean(TARGET * np.log(probability) + (1 - TARGET) * np.log(1 - probability))
    np.testing.assert_allclose(terms["bce"].item(), expected)


def test_bce_is_least_where_the_estimate_is_the_target() -> None:
    target = torch.from_numpy(TARGET)
    logits = torch.logit(target).requires_grad_()
    LOSSES["bce"](logits, target)["bce"].backward()
    assert logits.grad is not None
    assert float(logits.grad.abs().max()) < 1e-12
