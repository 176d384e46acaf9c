"""Where the error sits: constructed errors are found where they were put."""

import numpy as np
import pytest
import torch

from caelab.metrics.evaluate import Estimate
from caelab.report.error_sites import find_error_sites


def estimate(target: torch.Tensor, error: torch.Tensor) -> Estimate:
    return Estimate(estimate=target + error, target=target, degraded=target)


def test_bands_add_up_to_the_error_and_pixels_average_to_it() -> None:
    generator = torch.Generator().manual_seed(0)
    target, error = (torch.rand(5, 3, 16, 16, generator=generator) for _ in range(2))
    sites = find_error_sites([estimate(target[:2], error[:2]), estimate(target[2:], error[2:])])
    mse = float(error.square().mean())
    assert sites.error_power.sum() == pytest.approx(mse, rel=1e-5)
    assert sites.by_pixel.mean() == pytest.approx(mse, rel=1e-5)
    assert sites.by_steepness.mean() == pytest.approx(mse, rel=1e-2)
    assert sites.image_power.sum() == pytest.approx(
        float(target.var((2, 3), correction=0).mean()), rel=1e-5
    )
    assert sites.n == 5


@pytest.mark.parametrize(("waves", "band"), [(1, 0), (2, 1), (5, 4), (8, 7)])
def test_a_wave_is_in_its_band(waves: int, band: int) -> None:
    wave = torch.sin(2 * torch.pi * waves * torch.arange(16) / 16 + 0.3).expand(1, 3, 16, 16)
    sites = find_error_sites([estimate(torch.rand(1, 3, 16, 16), 0.1 * wave)])
    assert int(sites.error_power.argmax()) == band
    assert sites.error_power[band] / sites.error_power.sum() == pytest.approx(1, abs=1e-5)


def test_an_error_on_the_border_and_on_an_edge_is_found_there() -> None:
    target = torch.zeros(1, 3, 20, 20)
    target[..., 10:] = 1.0
    border = torch.ones(1, 3, 20, 20)
    border[..., 1:-1, 1:-1] = 0.5
    assert find_error_sites([estimate(target, border)]).border == pytest.approx(4)
    edge = torch.zeros(1, 3, 20, 20)
    edge[..., 9:11] = 0.2
    assert find_error_sites([estimate(target, edge)]).steep_share == pytest.approx(1)


def test_nothing_lost_is_nothing() -> None:
    target = torch.rand(2, 3, 8, 8)
    assert not np.any(find_error_sites([estimate(target, torch.zeros_like(target))]).lost)
