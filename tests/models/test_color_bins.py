import numpy as np
import pytest
import torch
from torch import Tensor

from caelab.color import SPACES
from caelab.data.device_images import DeviceImages
from caelab.models.color_bins import (
    MIN_BINS,
    NEIGHBORS,
    REACH,
    ColorBins,
    bin_weights,
    choose_bins,
    from_cells,
    in_cells,
    nearest_bins,
    soft_encode,
)

CPU = torch.device("cpu")
LAB = SPACES["lab"]
GRID = torch.cartesian_prod(torch.arange(-3.0, 4.0), torch.arange(-3.0, 4.0))


def pixels_of(images: np.ndarray) -> DeviceImages:
    return DeviceImages.of(images, np.arange(len(images)), device=CPU)


PIXELS = pixels_of(np.random.default_rng(0).integers(0, 256, (20, 3, 16, 16), dtype=np.uint8))


def chosen(count: int = 40, *, space: str = "lab", rebalance: float = 0.5) -> ColorBins:
    return choose_bins(
        PIXELS, space=SPACES[space], count=count, rebalance=rebalance, temperature=0.38
    )


def cells_of(space: str) -> Tensor:
    images = PIXELS.batch(slice(0, len(PIXELS)))
    return in_cells(SPACES[space].chroma(images), SPACES[space]).movedim(1, -1).reshape(-1, 2)


def test_a_cell_is_ten_units_of_lab() -> None:
    assert in_cells(torch.tensor(10.0), LAB).item() == pytest.approx(1)
    planes = torch.randn(2, 2, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(from_cells(in_cells(planes, LAB), LAB), planes)


@pytest.mark.parametrize("space", SPACES)
def test_all_of_srgb_is_within_reach(space: str) -> None:
    levels = torch.linspace(0, 1, 17)
    cube = torch.cartesian_prod(levels, levels, levels).T.reshape(1, 3, 17, -1)
    assert in_cells(SPACES[space].chroma(cube), SPACES[space]).abs().max() <= REACH + 0.5


@pytest.mark.parametrize("space", SPACES)
def test_the_bins_are_the_cells_filled_most(space: str) -> None:
    rounded = cells_of(space).round().long()
    cells, counts = rounded.unique(dim=0, return_counts=True)
    bins = chosen(space=space)
    assert list(bins.cells) == sorted(bins.cells)
    assert len(set(bins.cells)) == 40
    filled = {
        tuple(cell): int(count) for cell, count in zip(cells.tolist(), counts.tolist(), strict=True)
    }
    least = min(filled.get(cell, 0) for cell in bins.cells)
    # A place on the border of two cells may be counted in either.
    assert least >= sorted(filled.values())[-40] - 3


def test_images_of_few_colors_get_the_bins_around_gray_too() -> None:
    gray = pixels_of(np.full((2, 3, 4, 4), 128, np.uint8))
    bins = choose_bins(gray, space=LAB, count=9, rebalance=0.5, temperature=0.38)
    assert set(bins.cells) == {(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    assert (
        len(choose_bins(gray, space=LAB, count=MIN_BINS, rebalance=0.5, temperature=1).cells)
        == MIN_BINS
    )


@pytest.mark.parametrize("space", SPACES)
def test_frequencies_are_the_mean_of_what_the_pixels_are_spread_to(space: str) -> None:
    bins = chosen(space=space)
    centers = torch.tensor(bins.cells, dtype=torch.float32)
    nearest, shares = soft_encode(cells_of(space), centers, nearest_bins(centers))
    mean = torch.zeros(40).index_add_(0, nearest.flatten(), shares.flatten()) / len(nearest)
    assert sum(bins.frequencies) == pytest.approx(1)
    np.testing.assert_allclose(
        bins.frequencies, mean.numpy(), atol=0.002
    )  # they are counted by place, a ninth wide


def test_the_same_images_give_the_same_bins() -> None:
    assert chosen() == chosen()


def test_a_color_is_spread_by_a_gaussian_over_its_five_nearest_bins() -> None:
    colors = torch.rand(500, 2, generator=torch.Generator().manual_seed(1)) * 8 - 4
    bins, shares = soft_encode(colors, GRID, nearest_bins(GRID))
    squares = torch.cdist(colors, GRID).square()
    expected = (-squares / (2 * 0.5**2)).exp()
    expected = expected.where(squares <= squares.sort(1).values[:, NEIGHBORS - 1 : NEIGHBORS], 0)
    expected = expected / expected.sum(1, keepdim=True)
    found = torch.zeros_like(expected).scatter_(1, bins, shares)
    # Which bin is the fifth is decided by place: near a tie it may be the sixth, whose share is at
    # most 0.06.
    agree = (found - expected).abs().amax(1) < 1e-5
    assert agree.float().mean() > 0.8
    assert (found - expected).abs().max() < 0.06
    torch.testing.assert_close(shares.sum(1), torch.ones(500))
    assert all(len(set(row)) == NEIGHBORS for row in bins.tolist())


def test_a_color_on_a_bin_goes_to_it_and_evenly_to_its_neighbors() -> None:
    bins, shares = soft_encode(torch.tensor([[1.0, -2.0]]), GRID, nearest_bins(GRID))
    assert GRID[bins[0, 0]].tolist() == [1, -2]
    around = float(np.exp(-1 / 0.5))
    np.testing.assert_allclose(
        shares[0], np.array([1, around, around, around, around]) / (1 + 4 * around), rtol=1e-5
    )


@pytest.mark.parametrize("rebalance", [0.0, 0.5, 0.99])
def test_weights_rise_with_rarity_and_are_1_on_average(rebalance: float) -> None:
    bins = ColorBins(
        cells=((0, 0), (0, 1), (1, 0), (2, 0), (3, 0)),
        frequencies=(0.5, 0.2, 0.1, 0.1, 0.1),
        rebalance=rebalance,
        temperature=1.0,
    )
    weights = bin_weights(bins).double().numpy()
    frequencies = np.array(bins.frequencies)
    assert weights @ frequencies == pytest.approx(1)
    raw = 1 / ((1 - rebalance) / 5 + rebalance * frequencies)  # Zhang's λ is 1 − rebalance
    np.testing.assert_allclose(weights / weights[0], raw / raw[0], rtol=1e-6)
    if rebalance == 0:
        np.testing.assert_allclose(weights, 1, rtol=1e-6)


def test_the_weight_of_a_bin_that_no_image_has_is_finite() -> None:
    bins = chosen(400, rebalance=0.99)
    assert min(bins.frequencies) == 0
    assert bool(torch.isfinite(bin_weights(bins)).all())
