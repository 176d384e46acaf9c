from pathlib import Path

import numpy as np
import pytest
import torch

from caelab.measuring.baselines import PrincipalComponents, cached_principal_components
from caelab.training.pixels import Pixels

RNG = np.random.default_rng(0)
# Correlated colours: a few directions hold most of the variance.
LATENT = RNG.normal(size=(300, 10)) @ RNG.normal(size=(10, 3 * 6 * 6)) * 8 + RNG.normal(size=(300, 108)) + 128
IMAGES = np.clip(LATENT, 0, 255).astype(np.uint8).reshape(300, 3, 6, 6)
TRAIN = Pixels.of(IMAGES, np.arange(200), device=torch.device("cpu"))
TEST = Pixels.of(IMAGES, np.arange(200, 300), device=torch.device("cpu"))


@pytest.mark.parametrize("size", [1, 7, 50, 107])
def test_errors_are_those_of_a_singular_value_decomposition(size: int) -> None:
    train, test = (IMAGES[rows].reshape(len(IMAGES[rows]), -1) / 255 for rows in (slice(0, 200), slice(200, 300)))
    centre = train.mean(0)
    basis = np.linalg.svd(train - centre, full_matrices=False)[2][:size]
    expected = np.mean((np.clip(centre + (test - centre) @ basis.T @ basis, 0, 1) - test) ** 2, axis=1)
    np.testing.assert_allclose(PrincipalComponents.fit(TRAIN).errors(TEST, size), expected, rtol=1e-3, atol=1e-9)


def test_more_numbers_never_hurt_on_the_images_it_was_fitted_on() -> None:
    fitted = PrincipalComponents.fit(TRAIN)
    means = [fitted.errors(TRAIN, size).mean() for size in range(0, 109, 12)]
    assert means == sorted(means, reverse=True)
    assert means[-1] < 1e-10


def test_components_are_orthonormal() -> None:
    components = PrincipalComponents.fit(TRAIN).components
    torch.testing.assert_close(components @ components.T, torch.eye(108), atol=1e-5, rtol=0)


def test_large_images_are_refused() -> None:
    large = Pixels.of(np.zeros((2, 3, 64, 64), np.uint8), np.arange(2), device=torch.device("cpu"))
    with pytest.raises(ValueError, match="12288 numbers are too large"):
        PrincipalComponents.fit(large)


def test_the_cache_gives_the_same_errors_and_survives_damage(tmp_path: Path) -> None:
    fresh = cached_principal_components(TRAIN, tmp_path, "k").errors(TEST, 20)
    kept = cached_principal_components(TEST, tmp_path, "k").errors(TEST, 20)  # the key, not the pixels, decides
    np.testing.assert_array_equal(kept, fresh)
    next(tmp_path.iterdir()).write_bytes(b"damaged")
    np.testing.assert_array_equal(cached_principal_components(TRAIN, tmp_path, "k").errors(TEST, 20), fresh)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert cached_principal_components(TRAIN, blocked, "k").errors(TEST, 20).shape == (100,)
