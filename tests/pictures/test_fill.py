"""Holes that a mask marks are filled, and nothing else changes."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from caelab.degrade.degradation import parse_degradation
from caelab.degrade.kinds import MISSING
from caelab.errors import InputError
from caelab.pictures.backends.base import PictureModel
from caelab.pictures.fill import fill, read_mask
from caelab.pictures.picture import Floats, Picture

RNG = np.random.default_rng(0)


def gray_where_missing(images: Floats) -> Floats:
    return np.where(images == MISSING, np.float32(0.6), 1 - images).astype(np.float32)


MODEL = PictureModel(
    function=gray_where_missing, channels=3, degradation=parse_degradation("mask0.25")
)


def png(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_marked_pixels_alone_are_filled(depth: type) -> None:
    most = np.iinfo(depth).max
    picture = Picture(pixels=RNG.integers(0, most, (20, 30, 3)).astype(depth), format="JPEG")
    mask = RNG.random((20, 30)) < 0.3
    (filled,) = fill(MODEL, [picture], mask)
    np.testing.assert_array_equal(filled.pixels[~mask], picture.pixels[~mask])
    np.testing.assert_allclose(filled.pixels[mask], 0.6 * most, atol=1)
    assert filled.alpha is None
    assert filled.format == "JPEG"


def test_transparency_stays_where_there_is_no_hole() -> None:
    alpha = np.full((8, 8), 100, np.uint8)
    alpha[0] = 0
    picture = Picture(pixels=np.full((8, 8, 3), 50, np.uint8), alpha=alpha)
    mask = np.zeros((8, 8), bool)
    mask[7] = True
    (filled,) = fill(MODEL, [picture], mask)
    assert filled.alpha is not None
    assert filled.alpha[1:7].tolist() == [[100] * 8] * 6
    assert filled.alpha[[0, 7]].tolist() == [[255] * 8] * 2
    assert filled.pixels[:, 0, 0].tolist() == [153] + [50] * 6 + [153]


def test_a_mask_is_brought_to_the_size_of_each_picture() -> None:
    pictures = [Picture(pixels=np.zeros((side, 2 * side, 3), np.uint8)) for side in (10, 50)]
    mask = np.zeros((20, 40), bool)
    mask[:, 20:] = True
    for picture, filled in zip(pictures, fill(MODEL, pictures, mask), strict=True):
        changed = (filled.pixels != picture.pixels).any(axis=2)
        assert changed[:, picture.size[0] :].all()
        assert not changed[:, : picture.size[0]].any()


def test_white_and_painted_pixels_are_holes(tmp_path: Path) -> None:
    gray = np.array([[0, 100, 200, 255]], np.uint8)
    assert read_mask(png(gray)).tolist() == [[False, False, True, True]]
    alpha = np.array([[255, 255, 0, 255]], np.uint8)
    painted = np.dstack([gray, gray, gray, alpha])
    assert read_mask(png(painted)).tolist() == [[False, False, False, True]]


def test_what_cannot_be_filled_is_said() -> None:
    picture = Picture(pixels=np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="another shape"):
        fill(MODEL, [picture], np.ones((8, 9), bool))
    with pytest.raises(InputError, match="does not fill"):
        fill(replace(MODEL, degradation=parse_degradation("blur1")), [picture], np.ones((8, 8)) > 0)
    for wrong in (b"", b"text", png(np.zeros((4, 4), np.uint8))):
        with pytest.raises(InputError):
            read_mask(wrong)
