import numpy as np
import pytest
import torch

from caelab.color import SPACES
from caelab.data.device_images import DeviceImages
from caelab.metrics.ambiguity import (
    NEIGHBORS,
    SIDE,
    Patches,
    ambiguity,
    center_mean,
    cut_patches,
    nearest_neighbors,
    patches_at,
)

CPU = torch.device("cpu")


def colored(count: int, *, spread: float, seed: int) -> Patches:
    """Return patches of two luma patterns; those of the second have chroma of that deviation, the
    first none."""
    generator = torch.Generator().manual_seed(seed)
    kind = torch.arange(count) % 2
    chroma = torch.randn(count, 2, generator=generator) * spread * kind[:, None]
    places = torch.zeros(count, 2)
    features = torch.cat([kind[:, None].float().expand(count, SIDE**2), places], dim=1)
    return Patches(
        features=features,
        chroma=chroma,
        images=torch.arange(count),
        corners=torch.zeros(count, 2, dtype=torch.int64),
    )


def test_the_neighbors_are_the_nearest() -> None:
    generator = torch.Generator().manual_seed(0)
    features, among = (
        torch.rand(300, 5, generator=generator),
        torch.rand(50, 5, generator=generator),
    )
    found = nearest_neighbors(features, among, 4)
    torch.testing.assert_close(found, torch.cdist(features, among).argsort(1)[:, :4])


def test_the_spread_is_the_variance_of_the_colors_that_a_pattern_has() -> None:
    patches = colored(1000, spread=0.1, seed=0)
    found = ambiguity(patches, torch.zeros(1000, 2), colored(4000, spread=0.1, seed=1), bins=2)
    certain, doubtful = found.bins
    assert (certain.spread, certain.error, certain.n) == (0, 0, 500)
    assert doubtful.error == pytest.approx(
        0.01, rel=0.1
    )  # who answers zero has the variance as error
    assert 0 < doubtful.spread < 0.03
    assert found.neighbors_error > found.error
    assert found.rank_correlation > 0.5
    assert (found.n, found.training) == (1000, 4000)


def test_an_estimate_that_knows_more_than_the_patch_is_below_the_spread() -> None:
    patches = colored(200, spread=0.1, seed=0)
    found = ambiguity(patches, patches.chroma, colored(400, spread=0.1, seed=1))
    assert found.error == 0
    assert found.spread > 0
    assert np.isnan(found.rank_correlation)


def test_patches_are_cut_where_they_say() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 12, 10), dtype=np.uint8)
    pixels = DeviceImages.of(images, np.arange(5), device=CPU)
    patches = cut_patches(pixels, 30, seed=0)
    assert sorted(patches.images.bincount().tolist()) == [6] * 5
    planes = SPACES["ycbcr"].from_rgb(pixels.batch(patches.images))
    for index in (0, 17, 29):
        row, column = patches.corners[index].tolist()
        window = planes[index, :, row : row + SIDE, column : column + SIDE]
        torch.testing.assert_close(patches.features[index, : SIDE**2], window[0].flatten())
        torch.testing.assert_close(patches.chroma[index], window[1:, 3:5, 3:5].mean((1, 2)))
    windows = patches_at(planes, patches.corners)
    torch.testing.assert_close(center_mean(windows[:, 1:]), patches.chroma)
    assert (patches.corners.amax(0) <= torch.tensor([12 - SIDE, 10 - SIDE])).all()


def test_images_smaller_than_a_patch_have_none() -> None:
    pixels = DeviceImages.of(np.zeros((2, 3, 7, 9), np.uint8), np.arange(2), device=CPU)
    with pytest.raises(ValueError, match="too small for patches of 8×8"):
        cut_patches(pixels, NEIGHBORS, seed=0)
