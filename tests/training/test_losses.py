import numpy as np
import torch

from caelab.training.losses import LOSSES

RNG = np.random.default_rng(0)
OUTPUT, TARGET = RNG.normal(size=(3, 3, 4, 4)), RNG.uniform(size=(3, 3, 4, 4))


def test_mse_is_the_mean_over_everything() -> None:
    terms = LOSSES["mse"](torch.from_numpy(OUTPUT), torch.from_numpy(TARGET))
    np.testing.assert_allclose(terms["mse"].item(), np.mean((OUTPUT - TARGET) ** 2))


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
