"""The sheet shows every class."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from caelab.data.contact_sheet import contact_sheet
from caelab.data.image_set import ImageSet, Source
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


def test_the_sheet_has_a_row_for_every_class(tmp_path: Path) -> None:
    classes = ("cat", "a class with a very long name indeed", "fish")
    images = image_set(60, classes=classes)
    for label, color in enumerate([(250, 0, 0), (0, 250, 0), (0, 0, 250)]):
        images.images[np.arange(60) % 3 == label] = np.array(color, np.uint8)[:, None, None]
    contact_sheet(images, tmp_path / "new" / "sheet.png", columns=5, tile=20)
    with Image.open(tmp_path / "new" / "sheet.png") as opened:
        sheet = np.asarray(opened.convert("RGB"))
    for row, color in enumerate([(250, 0, 0), (0, 250, 0), (0, 0, 250)]):
        there = (sheet == color).all(axis=2)
        assert there.sum() == 5 * 20 * 20
        assert np.flatnonzero(there.any(axis=1))[[0, -1]].tolist() == [
            16 + row * 24,
            16 + row * 24 + 19,
        ]


@pytest.mark.parametrize("count", [1, 7, 500])
def test_the_sheet_without_classes(count: int, tmp_path: Path) -> None:
    contact_sheet(image_set(count), tmp_path / "sheet.png", columns=5, tile=20)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height == 2 * 16 + 24 * min(10, -(-count // 5)) - 4


def test_a_sheet_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write"):
        contact_sheet(image_set(3), tmp_path / "file" / "sheet.png")
    assert (tmp_path / "file").read_text() == "in the way"
