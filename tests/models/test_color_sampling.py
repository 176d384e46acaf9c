import numpy as np
import pytest
import torch
from torch import Tensor

from caelab.models.color_sampling import LUMA_REACH, SIDE_REACH, colors_at, smooth_field
from caelab.randomness import image_keys


def keys(count: int, seed: int = 0) -> Tensor:
    return image_keys(np.arange(count), seed)


FLAT = torch.full((3000, 1, 8, 8), 0.5)


def test_the_field_is_standard_normal_in_every_pixel_and_its_planes_are_independent() -> None:
    field = smooth_field(FLAT, keys(3000)).flatten(2)
    assert field.mean(0).abs().max() < 5 / 3000**0.5
    assert (field.var(0) - 1).abs().max() < 5 * (2 / 3000) ** 0.5
    assert ((field**4).mean(0) - 3).abs().max() < 5 * (96 / 3000) ** 0.5
    assert (field[:, 0] * field[:, 1]).mean(0).abs().max() < 5 / 3000**0.5


def test_its_covariance_falls_off_by_the_reaches() -> None:
    luma = FLAT.clone()
    luma[:, :, :, 4:] = 0.5 + LUMA_REACH
    field = smooth_field(luma, keys(3000))[:, 0]
    reach = 8 * SIDE_REACH
    for row, column in [(0, 1), (1, 0), (2, 2), (5, 0), (0, 4), (1, 5)]:
        expected = np.exp(-(row**2 + column**2) / (2 * reach**2) - (column >= 4) / 2)
        found = (field[:, 0, 0] * field[:, row, column]).mean().item()
        assert found == pytest.approx(expected, abs=5 / 3000**0.5)


def test_the_field_depends_on_the_key_and_on_nothing_else() -> None:
    luma = torch.rand(4, 1, 8, 6, generator=torch.Generator().manual_seed(0))
    whole = smooth_field(luma, keys(4))
    torch.testing.assert_close(smooth_field(luma[2:], keys(4)[2:]), whole[2:])
    assert not torch.allclose(smooth_field(luma, keys(4, seed=1)), whole)


CELLS = torch.tensor([[-1.0, 0.0], [0.0, -1.0], [0.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
CHANCES = torch.tensor([0.1, 0.2, 0.3, 0.25, 0.15])


def test_uniform_quantiles_give_the_distribution() -> None:
    side = 400
    steps = (torch.arange(side) + 0.5) / side
    quantiles = torch.cartesian_prod(steps, steps)
    colors = colors_at(CHANCES.expand(len(quantiles), -1), CELLS, quantiles)
    offsets = (colors.unsqueeze(1) - CELLS).abs().amax(2)
    cell = offsets.argmin(1)
    assert offsets.amin(1).max() <= 0.5 + 1e-5
    np.testing.assert_allclose(
        torch.bincount(cell, minlength=5) / len(cell), CHANCES, atol=2 / side
    )
    within = colors - CELLS[cell]  # each cell is filled evenly
    for index in range(5):
        inside = within[cell == index]
        np.testing.assert_allclose(inside.mean(0), 0, atol=0.01)
        np.testing.assert_allclose(inside.var(0), 1 / 12, atol=0.003)


def test_certain_colors_stay_in_their_cell() -> None:
    certain = torch.eye(5)
    quantiles = torch.rand(5, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(colors_at(certain, CELLS, quantiles), CELLS + quantiles - 0.5)


def test_colors_go_up_with_their_quantiles() -> None:
    steps = torch.linspace(1e-6, 1 - 1e-6, 201)
    chances = CHANCES.expand(201, -1)
    first = colors_at(chances, CELLS, torch.stack([steps, torch.full_like(steps, 0.3)], dim=1))[
        :, 0
    ]
    second = colors_at(chances, CELLS, torch.stack([torch.full_like(steps, 0.5), steps], dim=1))[
        :, 1
    ]
    for plane in (first, second):
        assert bool((plane.diff() >= 0).all())
    assert (first[0].item(), second[0].item()) == pytest.approx((-1.5, -1.5), abs=1e-4)
    assert (first[-1].item(), second[-1].item()) == pytest.approx((3.5, 2.5), abs=1e-4)


def test_tiny_probabilities_do_no_harm() -> None:
    chances = torch.full((64, 5), 1e-30)
    chances[:, 2] = 1
    quantiles = torch.rand(64, 2, generator=torch.Generator().manual_seed(0)).clamp(1e-6, 1 - 1e-6)
    quantiles[0], quantiles[1] = 1e-6, 1 - 1e-6
    colors = colors_at(chances, CELLS, quantiles)
    assert bool(torch.isfinite(colors).all())
    assert colors.abs().max() <= 0.5 + 1e-5
