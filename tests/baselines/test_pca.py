from pathlib import Path

import numpy as np
import pytest
import torch

from caelab.baselines.pca import PrincipalComponents, linear_code_errors, suitable_sizes
from caelab.data.device_images import DeviceImages
from caelab.data.load import load_images
from caelab.data.split import split_images

RNG = np.random.default_rng(0)
# Correlated colors: a few directions hold most of the variance.
LATENT = (
    RNG.normal(size=(300, 10)) @ RNG.normal(size=(10, 3 * 6 * 6)) * 8
    + RNG.normal(size=(300, 108))
    + 128
)
IMAGES = np.clip(LATENT, 0, 255).astype(np.uint8).reshape(300, 3, 6, 6)
TRAIN = DeviceImages.of(IMAGES, np.arange(200), device=torch.device("cpu"))
TEST = DeviceImages.of(IMAGES, np.arange(200, 300), device=torch.device("cpu"))


@pytest.mark.parametrize("size", [1, 7, 50, 107])
def test_errors_are_those_of_a_singular_value_decomposition(size: int) -> None:
    train, test = (
        IMAGES[rows].reshape(len(IMAGES[rows]), -1) / 255
        for rows in (slice(0, 200), slice(200, 300))
    )
    center = train.mean(0)
    basis = np.linalg.svd(train - center, full_matrices=False)[2][:size]
    expected = np.mean(
        (np.clip(center + (test - center) @ basis.T @ basis, 0, 1) - test) ** 2, axis=1
    )
    np.testing.assert_allclose(
        PrincipalComponents.fit(TRAIN, (6, 6)).errors(TEST, size), expected, rtol=1e-3, atol=1e-9
    )


def test_more_numbers_never_hurt_on_the_images_it_was_fitted_on() -> None:
    fitted = PrincipalComponents.fit(TRAIN, (6, 6))
    means = [fitted.errors(TRAIN, size).mean() for size in range(0, 109, 12)]
    assert means == sorted(means, reverse=True)
    assert means[-1] < 1e-10


def test_components_are_orthonormal() -> None:
    components = PrincipalComponents.fit(TRAIN, (6, 6)).components
    torch.testing.assert_close(components @ components.T, torch.eye(108), atol=1e-5, rtol=0)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "caelab"


def test_errors_are_kept_and_survive_damage(cache: Path) -> None:
    def errors() -> dict[int, np.ndarray]:
        return linear_code_errors(TRAIN, TEST, (36, 20, 20, 5000))

    components = PrincipalComponents.fit(TRAIN, (6, 6))
    expected = {size: components.errors(TEST, size) for size in (20, 36)}
    np.testing.assert_equal(errors(), expected)
    (kept,) = cache.glob("linear-errors-*")
    (fitted,) = cache.glob("linear-components-*")
    changed = {"20": np.arange(len(TEST), dtype=np.float64), "36": expected[36]}
    np.savez(kept, **changed)
    np.testing.assert_equal(errors(), {20: changed["20"], 36: expected[36]})  # not computed again
    for damage in (b"damaged", b"", kept.read_bytes()[:-8], b"\x93NUMPY\x01\x00"):
        kept.write_bytes(damage)
        np.testing.assert_equal(errors(), expected)  # from the components that were kept
        kept.write_bytes(damage)
        fitted.write_bytes(damage)
        np.testing.assert_equal(errors(), expected)


def test_components_are_kept_for_other_sizes_and_images(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linear_code_errors(TRAIN, TEST, (20,))
    expected = PrincipalComponents.fit(TRAIN, (6, 6)).errors(TEST.at(np.arange(9)), 36)
    monkeypatch.delattr(PrincipalComponents, "fit")
    found = linear_code_errors(TRAIN, TEST.at(np.arange(9)), (36,))
    np.testing.assert_array_equal(found[36], expected)
    assert len(list(cache.glob("linear-errors-*"))) == 2


def test_errors_of_other_images_and_of_patches_are_kept_apart(cache: Path) -> None:
    fewer = TRAIN.at(np.arange(100))
    inverted = DeviceImages.of(255 - IMAGES, TEST.rows, device=torch.device("cpu"))
    for fitted, measured, patch in (
        (TRAIN, TEST, None),
        (TRAIN, TEST, 3),
        (fewer, TEST, None),
        (fewer, TEST.at(np.arange(50)), None),
        (fewer, inverted, None),
    ):
        side = patch or 6
        expected = PrincipalComponents.fit(fitted, (side, side)).errors(measured, 20)
        for _ in range(2):  # computed, then read
            found = linear_code_errors(fitted, measured, (20,), patch=patch)
            np.testing.assert_array_equal(found[20], expected)
    assert len(list(cache.glob("linear-errors-*"))) == 5


def test_a_cache_that_cannot_be_written_is_done_without(cache: Path) -> None:
    cache.write_text("in the way")
    found = linear_code_errors(TRAIN, TEST, (20,))
    np.testing.assert_array_equal(
        found[20], PrincipalComponents.fit(TRAIN, (6, 6)).errors(TEST, 20)
    )


def test_large_images_have_no_linear_code() -> None:
    large = DeviceImages.of(
        np.zeros((2, 3, 64, 64), np.uint8), np.arange(2), device=torch.device("cpu")
    )
    assert linear_code_errors(large, large, (20,)) == {}


# By patch


def cut(images: np.ndarray, side: int) -> np.ndarray:
    """Return the patches of images ``(N, C, H, W)`` as rows, by plain loops."""
    _, _, height, width = images.shape
    return np.array(
        [
            image[:, top : top + side, left : left + side].ravel()
            for image in images / 255
            for top in range(0, height, side)
            for left in range(0, width, side)
        ]
    )


@pytest.mark.parametrize(("side", "kept"), [(1, 2), (2, 1), (2, 5), (3, 9)])
def test_errors_by_patch_are_those_of_a_singular_value_decomposition(side: int, kept: int) -> None:
    train, test = cut(IMAGES[:200], side), cut(IMAGES[200:], side)
    center = train.mean(0)
    basis = np.linalg.svd(train - center, full_matrices=False)[2][:kept]
    squares = (np.clip(center + (test - center) @ basis.T @ basis, 0, 1) - test) ** 2
    expected = squares.reshape(100, -1).mean(1)
    fitted = PrincipalComponents.fit(TRAIN, (side, side))
    np.testing.assert_allclose(
        fitted.errors(TEST, kept * (6 // side) ** 2), expected, rtol=1e-3, atol=1e-9
    )


def test_no_code_of_patches_beats_that_of_whole_images_it_was_fitted_on() -> None:
    whole = PrincipalComponents.fit(TRAIN, (6, 6))
    for side in (1, 2, 3):
        by_patch = PrincipalComponents.fit(TRAIN, (side, side))
        assert by_patch.errors(TRAIN, 36).mean() > whole.errors(TRAIN, 36).mean()


def test_which_codes_suit_patches() -> None:
    sizes, square = (64, 768, 2048, 3072), (3, 32, 32)
    suiting = {
        side: suitable_sizes(square, 9999, sizes, patch=side)
        for side in (None, 1, 2, 4, 5, 8, 16, 32)
    }
    assert suiting == {
        None: [64, 768, 2048],
        1: [2048],
        2: [768, 2048],
        4: [64, 768, 2048],
        5: [],
        8: [64, 768, 2048],
        16: [64, 768, 2048],
        32: [],
    }
    assert suitable_sizes((3, 24, 32), 9, (0, 96), patch=8) == [96]
    assert suitable_sizes((3, 64, 64), 9999, (64,)) == []


def test_no_code_has_more_numbers_than_the_images_span() -> None:
    sizes = (40, 49, 50, 100)
    few = TRAIN.at(np.arange(50))
    found = linear_code_errors(few, TEST, sizes)
    assert list(found) == [40, 49]
    assert found[49].mean() < found[40].mean()
    fitted = PrincipalComponents.fit(few, (6, 6))
    np.testing.assert_allclose(fitted.errors(few, 49), 0, atol=1e-9)
    # Each of nine patches of 12 numbers has 50 · 9 examples, and only its own size is a limit.
    assert suitable_sizes(few.shape, len(few), (9, 99, 108), patch=2) == [9, 99]
    assert suitable_sizes(few.shape, 1, (9, 72, 81), patch=2) == [9, 72]
    assert suitable_sizes(few.shape, 1, (1,)) == []


@pytest.mark.cifar10
def test_linear_codes_of_cifar10(cifar10_path: Path) -> None:
    """The figures are of all training images; a tenth of them is enough for patches."""
    images = load_images(cifar10_path)
    split = split_images(images)
    train = DeviceImages.of(images.images, split.train[::10], device=torch.device("cpu"))
    test = DeviceImages.of(images.images, split.test, device=torch.device("cpu"))
    fitted = PrincipalComponents.fit(train, (4, 4))
    assert fitted.errors(test, 768).mean() == pytest.approx(0.000939, rel=0.01)
    assert fitted.errors(test, 1024).mean() == pytest.approx(0.000426, rel=0.01)
