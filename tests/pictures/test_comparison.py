"""What --compare shows and states, against the house's metrics and a look at the panels."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from caelab.color import luminance
from caelab.metrics.image_metrics import measure
from caelab.pictures import comparison
from caelab.pictures.comparison import compare, has_color, without_color
from caelab.pictures.picture import Picture
from caelab.pictures.read import read_picture


def tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32) / np.iinfo(pixels.dtype).max).permute(
        2, 0, 1
    )[None]


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_the_numbers_are_those_of_the_metrics(
    depth: type, scene: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "STRIP_PIXELS", 1000)  # several strips, and a rest
    factor = np.iinfo(depth).max // 255
    truth = scene.astype(depth) * depth(factor)
    result = np.roll(truth, 2, axis=1)
    found = compare(
        Picture(pixels=truth), Picture(pixels=result), truth=Picture(pixels=truth)
    ).metrics
    expected = measure(tensor(result), tensor(truth), ["psnr", "ciede2000"])
    assert found["psnr"] == pytest.approx(expected["psnr"][0], abs=1e-3)
    assert found["ciede2000"] == pytest.approx(expected["ciede2000"][0], rel=1e-3)


def test_what_is_right_has_no_error(scene: np.ndarray) -> None:
    picture = Picture(pixels=scene)
    assert compare(picture, picture, truth=picture).metrics == {"psnr": math.inf, "ciede2000": 0.0}


def test_a_gray_result_is_measured_against_gray_and_color() -> None:
    gray = Picture(pixels=np.full((8, 8, 1), 100, np.uint8))
    off = Picture(pixels=np.full((8, 8, 1), 151, np.uint8))
    assert compare(gray, off, truth=gray).metrics["psnr"] == pytest.approx(-20 * math.log10(0.2))
    color = Picture(pixels=gray.pixels.repeat(3, axis=2))
    assert compare(gray, off, truth=color).metrics["psnr"] == pytest.approx(-20 * math.log10(0.2))


def test_panels_show_what_was_given_made_and_true() -> None:
    pictures = [Picture(pixels=np.full((300, 200, 3), value, np.uint8)) for value in (10, 100, 200)]
    for count, made in (
        (2, compare(pictures[0], pictures[1])),
        (3, compare(*pictures[:2], truth=pictures[2])),
    ):
        pixels = made.picture.pixels
        solid = [
            int((pixels == picture.pixels[0, 0, 0]).all(axis=2).sum())
            for picture in pictures[:count]
        ]
        assert all(area >= 300 * 200 for area in solid)
        assert not (pixels == 200).all(axis=2).sum() >= 1000 or count == 3
    assert compare(pictures[0], pictures[1]).metrics == {}
    assert (
        compare(pictures[0], pictures[1], truth=pictures[0]).picture.size[1] < 3 * 200
    )  # the truth is shown once


def test_large_pictures_are_reduced_for_the_panels() -> None:
    wide = Picture(pixels=np.zeros((30, 5001, 1), np.uint8))
    height, width = compare(wide, wide).picture.size
    assert width < 2 * comparison.MAX_SIDE + 40
    assert height < 100


@pytest.mark.parametrize("tint", [(1, 1, 1), (1.07, 0.98, 0.8), (0.8, 0.95, 1.1)])
@pytest.mark.parametrize("quality", [50, 95])
def test_gray_and_tinted_photographs_have_no_colors(
    quality: int, tint: tuple[float, ...], scene: np.ndarray
) -> None:
    gray = np.asarray(Image.fromarray(scene).convert("L"))[..., None]
    stream = io.BytesIO()
    tinted = np.clip(gray * np.array(tint), 0, 255).astype(np.uint8)
    Image.fromarray(tinted).save(stream, "JPEG", quality=quality)
    assert not has_color(read_picture(stream.getvalue()))
    stream = io.BytesIO()
    Image.fromarray(scene).save(stream, "JPEG", quality=quality)
    assert has_color(read_picture(stream.getvalue()))


def test_color_is_seen_and_taken_away(scene: np.ndarray) -> None:
    assert has_color(Picture(pixels=scene))
    assert not has_color(Picture(pixels=scene[..., :1]))
    assert not has_color(Picture(pixels=scene[..., :1].repeat(3, axis=2)))
    gray = without_color(Picture(pixels=scene))
    assert gray.pixels.shape == (*scene.shape[:2], 1)
    assert (
        np.abs(
            gray.pixels[..., 0] - luminance(np.moveaxis(scene, -1, 0).astype(np.float32))[0]
        ).max()
        <= 0.51
    )
