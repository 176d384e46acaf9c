import copy
import io
import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from caelab.training.optimizers import (
    SCHEDULES,
    OptimizerConfig,
    OptimizerKind,
    make_optimizer,
    rate_factor,
)

EVERY = pytest.mark.parametrize("name", list(OptimizerKind.registry))
CURVATURE = torch.logspace(0, -2, 6)[:, None]
TARGET = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))


def begin(name: str, **options: float) -> tuple[nn.Linear, torch.optim.Optimizer]:
    module = nn.Linear(5, 6, bias=False)
    nn.init.ones_(module.weight)
    config = OptimizerConfig(kind=name, learning_rate=0.05, **options)
    return module, make_optimizer(config, module)


def take(module: nn.Linear, optimizer: torch.optim.Optimizer, steps: int) -> float:
    """Minimize a quadratic function; return its last value."""
    for _ in range(steps):
        loss = (CURVATURE * (module.weight - TARGET).square()).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return float(loss.detach())


@EVERY
def test_contract_it_decreases_a_quadratic_function(name: str) -> None:
    module, optimizer = begin(name)
    assert take(module, optimizer, 150) < 0.05 * take(*begin(name), 1)


@EVERY
@pytest.mark.parametrize("stop", [1, 11, 25])
def test_contract_a_restored_state_continues_bit_for_bit(name: str, stop: int) -> None:
    module, optimizer = begin(name)
    take(module, optimizer, stop)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    other = copy.deepcopy(module)
    restored = make_optimizer(OptimizerConfig(kind=name, learning_rate=1.0), other)
    restored.load_state_dict(torch.load(file, weights_only=True))
    take(module, optimizer, 15)
    take(other, restored, 15)
    assert torch.equal(module.weight, other.weight)


@EVERY
def test_contract_weight_decay_is_decoupled(name: str) -> None:
    plain, decayed = begin(name), begin(name, weight_decay=0.5)
    take(*plain, 1)
    take(*decayed, 1)
    expected = plain[0].weight - 0.05 * 0.5 * torch.ones(6, 5)
    torch.testing.assert_close(decayed[0].weight, expected)


@given(
    steps=st.integers(1, 500), share=st.floats(0, 0.99), schedule=st.sampled_from(sorted(SCHEDULES))
)
def test_factor_rises_to_one_and_never_reaches_zero(
    steps: int, share: float, schedule: str
) -> None:
    config = OptimizerConfig(warmup=share, lr_schedule=schedule)  # type: ignore[arg-type]
    warmup = round(share * steps)
    factors = [rate_factor(config, step, steps) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)
    assert factors[:warmup] == [(step + 1) / warmup for step in range(warmup)]
    assert factors[warmup:] == sorted(factors[warmup:], reverse=True)
    if warmup < steps:
        assert factors[warmup] == 1


def test_linear_and_cosine_meet_half_way() -> None:
    linear, cosine = (
        OptimizerConfig(warmup=0.0, lr_schedule=name) for name in ("linear", "cosine")
    )
    assert rate_factor(linear, 50, 100) == pytest.approx(0.5)
    assert rate_factor(cosine, 50, 100) == pytest.approx(0.5)
    assert rate_factor(cosine, 75, 100) == pytest.approx((1 - math.sqrt(0.5)) / 2)


def test_a_configuration_needs_no_torch() -> None:
    code = (
        "import sys; from caelab.experiments.config import make_config;"
        "make_config({'loss': {'kind': 'l1'}}); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
