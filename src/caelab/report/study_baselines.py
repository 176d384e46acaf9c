"""What stands beside a study's networks: linear codes of their sizes, and what codes cost in bytes.

Measuring takes the images themselves and some minutes, so it is kept in a file in the study's
folder, and only what is missing there is measured.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from caelab.baselines.code_cost import CodeCost, code_costs
from caelab.baselines.image_codecs import FileCost, file_costs
from caelab.baselines.pca import linear_code_errors
from caelab.data.device_images import DeviceImages, evenly_spaced
from caelab.errors import InputError
from caelab.files import read_json, to_json, write_text
from caelab.progress import progress
from caelab.report.run_reader import FinishedRun
from caelab.report.test_images import RunImages

WHOLE = "PCA, whole image"

SIZES = (64, 128, 256, 512, 768, 1024, 1536, 2048)
"""Of linear codes, beside those that the study's networks have."""

PATCHES = (4, 8)
"""Sides of the patches of linear codes by patch."""

RANGE_IMAGES = 8192
"""Training images that give the ranges in which codes are quantised."""

FILE_IMAGES = 1000
"""Test images that are stored as JPEG and WebP, the first of the part: at every quality that takes
a while."""


@dataclass(kw_only=True)
class Beside:
    """What was measured on the test images.

    Attributes:
        sizes: For which linear codes were asked; not every size suits every kind.
        linear: Test MSE of linear codes by their size, for each kind.
        files: JPEG and WebP at every quality.
        codes: What the codes of some runs cost at several precisions, by the run's name.
    """

    sizes: tuple[int, ...] = ()
    linear: dict[str, dict[int, float]] = field(default_factory=dict)
    files: tuple[FileCost, ...] = ()
    codes: dict[str, tuple[CodeCost, ...]] = field(default_factory=dict)

    def linear_at(self, size: int) -> dict[str, float]:
        """Return the test MSE of the linear codes of one size, by kind."""
        return {name: line[size] for name, line in self.linear.items() if size in line}


def measure_beside(
    file: Path,
    *,
    run: FinishedRun,
    sizes: Sequence[int],
    coded: Sequence[FinishedRun],
    images: RunImages,
) -> Beside:
    """Measure what ``file`` does not hold yet, write it there, and return everything.

    Args:
        file: What was measured before; one that is missing, damaged or of other images is made
            anew.
        run: Any of the study's: it says which images, and which split.
        sizes: Of the networks' codes.
        coded: Runs whose codes are to be priced; each has a code that no bracket runs around.
        images: Gives the images and the networks.

    Raises:
        InputError: The images cannot be had or are not those of the run, weights are damaged, or
            the disk is full.
    """
    identity: dict[str, Any] = {
        "images": list(map(str, run.images)),
        "limit": run.config.data.train_size,
    }
    if run.config.data.val_size is not None:
        identity["validation"] = run.config.data.val_size
    beside = _read(file, identity)
    wanted = sorted({*SIZES, *sizes} - {*beside.sizes})
    unpriced = [each for each in coded if each.name not in beside.codes]
    if not wanted and not unpriced and beside.files:
        return beside
    train, test = images.part(run, "train"), images.part(run, "test")
    for kind, line in _linear(train, test, wanted).items():
        beside.linear[kind] = dict(sorted({**beside.linear.get(kind, {}), **line}.items()))
    beside.sizes = tuple(sorted({*beside.sizes, *wanted}))
    if not beside.files:
        some = test.at(np.arange(min(FILE_IMAGES, len(test))))
        beside.files = file_costs(some)
    ranging = train.at(evenly_spaced(RANGE_IMAGES, len(train)))
    with progress("what the codes cost", len(unpriced), unit="networks") as bar:
        for each in unpriced:
            model = images.model(each)
            beside.codes[each.name] = code_costs(model, ranging, test)
            bar()
    _write(file, identity, beside)
    return beside


def _linear(
    train: DeviceImages, test: DeviceImages, sizes: Sequence[int]
) -> dict[str, dict[int, float]]:
    """Return the test MSE of the linear codes that there can be of these sizes, by kind and
    size.
    """
    lines: dict[str, dict[int, float]] = {}
    for side in (None, *PATCHES):
        errors = linear_code_errors(train, test, sizes, patch=side)
        if errors:
            kind = WHOLE if side is None else f"PCA, {side}×{side} patches"
            lines[kind] = {size: float(values.mean()) for size, values in errors.items()}
    return lines


def _write(file: Path, identity: dict[str, Any], beside: Beside) -> None:
    content = {"identity": identity, **dataclasses.asdict(beside)}
    write_text(file, to_json(content))


def _read(file: Path, identity: dict[str, Any]) -> Beside:
    """Return what the file holds; nothing where it is missing, damaged or of other images."""
    try:
        content = read_json(file)
        if content["identity"] != identity:
            return Beside()
        return Beside(
            sizes=tuple(map(int, content["sizes"])),
            linear={
                str(kind): {int(size): float(mse) for size, mse in line.items()}
                for kind, line in content["linear"].items()
            },
            files=tuple(FileCost(**cost) for cost in content["files"]),
            codes={
                str(name): tuple(CodeCost(**cost) for cost in costs)
                for name, costs in content["codes"].items()
            },
        )
    except (InputError, KeyError, TypeError, ValueError, AttributeError):
        return Beside()
