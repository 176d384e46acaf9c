"""The sheet shows every class."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from caelab.data.image_set import ImageSet, Source
from caelab.data.summary import contact_sheet
from caelab.errors import InputError

SOURCE = Source(name="folder", where="somewhere", note="", fingerprint="0")


def image_set(count: int, *, classes: tuple[str, ...] = ()) -> ImageSet:
    return ImageSet(
        images=np.random.default_rng(0).integers(0, 256, (count, 3, 8, 6), dtype=np.uint8),
        labels=np.arange(count) % len(classes) if classes else None,
        classes=classes,
        source=SOURCE,
        part=None,
        official_test=None,
    )


def open_sheet(file: Path) -> np.ndarray:
    with Image.open(file) as opened:
        return np.asarray(opened.convert("RGB")).astype(int)


def runs(values: np.ndarray) -> int:
    """Return how many runs of true values there are."""
    return int(np.diff(values, prepend=0, append=0).clip(0).sum())


def test_the_sheet_has_a_row_for_every_class(tmp_path: Path) -> None:
    classes = ("cat", "a class with a very long name indeed", "fish")
    images = image_set(60, classes=classes)
    colors = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]
    for label, color in enumerate(colors):
        images.images[np.arange(60) % 3 == label] = np.array(color, np.uint8)[:, None, None]
    contact_sheet(images, tmp_path / "new" / "sheet.png")
    sheet = open_sheet(tmp_path / "new" / "sheet.png")
    end = -1
    for color in colors:
        there = np.abs(sheet - color).max(axis=2) <= 1
        rows = np.flatnonzero(there.any(axis=1))
        assert rows[0] > end
        end = rows[-1]
        assert runs(there.any(axis=1)) == 1
        assert runs(there[(rows[0] + end) // 2]) == 12


@pytest.mark.parametrize("count", [1, 7, 50, 500])
def test_the_sheet_without_classes(count: int, tmp_path: Path) -> None:
    images = image_set(count)
    images.images[:] = np.array([250, 0, 0], np.uint8)[:, None, None]
    contact_sheet(images, tmp_path / "sheet.png")
    red = np.abs(open_sheet(tmp_path / "sheet.png") - (250, 0, 0)).max(axis=2) <= 1
    assert runs(red.any(axis=1)) == min(10, -(-count // 12))
    assert runs(red.any(axis=0)) == min(12, count)


def test_a_sheet_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write"):
        contact_sheet(image_set(3), tmp_path / "file" / "sheet.png")
    assert (tmp_path / "file").read_text() == "in the way"
