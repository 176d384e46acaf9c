"""Chroma is brought up row by row, stops at edges, and stays what the network said."""

from collections.abc import Callable

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from caelab.color import SPACES, luminance
from caelab.pictures.joint_bilateral import LUMA_SCALE, GuidedChroma, Size

Guide = Callable[[Size], NDArray[np.float32]]


def resized(
    planes: np.ndarray, size: Size, resampling: Image.Resampling = Image.Resampling.BOX
) -> np.ndarray:
    return np.stack(
        [np.asarray(Image.fromarray(plane).resize(size[::-1], resampling)) for plane in planes]
    )


def guide_of(gray: np.ndarray) -> Guide:
    return lambda size: resized(gray[None], size)[0]


def upsample(
    planes: np.ndarray, gray: np.ndarray, *, strip: int | None = None, whole_pixels: int = 2**20
) -> np.ndarray:
    height, width = gray.shape
    guided = GuidedChroma(
        planes, size=(height, width), guide=guide_of(gray), whole_pixels=whole_pixels
    )
    rows = strip or height
    return np.concatenate(
        [guided.rows(gray[top : top + rows], top=top) for top in range(0, height, rows)], axis=1
    )


@pytest.mark.parametrize("size", [(61, 83), (83, 61), (16, 200)])
def test_strips_are_exactly_the_whole(size: Size) -> None:
    rng = np.random.default_rng(0)
    gray = rng.random(size, np.float32)
    planes = rng.uniform(-0.4, 0.4, (2, 9, 11)).astype(np.float32)
    whole = upsample(planes, gray, whole_pixels=600)
    for strip in (1, 2, 7, 32):
        assert np.array_equal(upsample(planes, gray, strip=strip, whole_pixels=600), whole)


def test_one_step_is_the_joint_bilateral_mean_as_written_down() -> None:
    rng = np.random.default_rng(2)
    gray = rng.random((10, 12), np.float32)
    planes = rng.uniform(-0.4, 0.4, (2, 5, 4)).astype(np.float32)
    coarse = guide_of(gray)((5, 4))

    def spline(distance: float) -> float:
        distance = abs(distance)
        return 0.75 - distance**2 if distance < 0.5 else 0.5 * max(0.0, 1.5 - distance) ** 2

    expected = np.zeros((2, 10, 12))
    for y in range(10):
        for x in range(12):
            v, u = (y + 0.5) / 2 - 0.5, (x + 0.5) / 3 - 0.5
            weights = []
            for j in range(-3, 9):
                for i in range(-3, 8):
                    place = min(max(j, 0), 4), min(max(i, 0), 3)
                    alike = 1 / (1 + ((gray[y, x] - coarse[place]) / LUMA_SCALE) ** 2) ** 2
                    weights.append((spline(j - v) * spline(i - u) * alike, place))
            for plane in range(2):
                expected[plane, y, x] = sum(
                    weight * planes[plane][place] for weight, place in weights
                )
            expected[:, y, x] /= sum(weight for weight, _ in weights)
    np.testing.assert_allclose(upsample(planes, gray, whole_pixels=0), expected, atol=2e-6)


def test_chroma_of_the_pictures_size_is_left_alone_and_larger_chroma_is_averaged() -> None:
    rng = np.random.default_rng(3)
    planes = rng.uniform(-0.4, 0.4, (2, 8, 12)).astype(np.float32)
    assert np.array_equal(upsample(planes, rng.random((8, 12), np.float32)), planes)
    smaller = upsample(planes, rng.random((4, 3), np.float32))
    np.testing.assert_allclose(smaller, planes.reshape(2, 4, 2, 3, 4).mean((2, 4)), atol=1e-6)


def test_one_color_stays_one_color() -> None:
    planes = np.broadcast_to(np.array([0.2, -0.1], np.float32).reshape(2, 1, 1), (2, 6, 6)).copy()
    result = upsample(planes, np.random.default_rng(4).random((150, 99), np.float32))
    np.testing.assert_allclose(result, np.broadcast_to(planes[:, :1, :1], result.shape), atol=1e-6)


def test_colors_stop_at_an_edge_of_luma() -> None:
    gray = np.full((128, 128), 0.3, np.float32)
    gray[:, 70:] = 0.7  # within a pixel of the 8×8 that the network saw
    truth = np.where(gray < 0.5, 0.2, -0.2).astype(np.float32)[None].repeat(2, axis=0)
    low = resized(truth, (8, 8))
    guided, smooth = upsample(low, gray), resized(low, gray.shape, Image.Resampling.BICUBIC)
    bleeding, smooth_bleeding = (np.abs(planes - truth).mean() for planes in (guided, smooth))
    assert bleeding < 0.25 * smooth_bleeding
    assert np.abs(guided[:, :, 69] - 0.2).max() < 0.08
    assert np.abs(guided[:, :, 70] + 0.2).max() < 0.08


@pytest.mark.parametrize("side", [32, 128])
@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_on_photographs_it_beats_interpolation(name: str, side: int) -> None:
    rgb = getattr(skimage.data, name)().astype(np.float32) / 255
    planes = np.moveaxis(rgb, -1, 0)
    gray, truth = luminance(planes)[0], SPACES["ycbcr"].chroma(planes)
    factor = side / min(gray.shape)
    low = resized(truth, (round(gray.shape[0] * factor), round(gray.shape[1] * factor)))
    error = np.mean((upsample(low, gray) - truth) ** 2)
    smooth = np.mean((resized(low, gray.shape, Image.Resampling.BICUBIC) - truth) ** 2)
    assert 10 * np.log10(smooth / error) > 0.4  # dB
