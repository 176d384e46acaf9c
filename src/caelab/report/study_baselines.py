"""Baselines of a study: linear codes of its networks' sizes, and what codes cost in bytes.

Measuring takes minutes, so the results are kept in a file in the study's folder, and only what is
missing there is measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from caelab.baselines.code_cost import CodeCost, code_costs
from caelab.baselines.image_codecs import FileCost, file_costs
from caelab.baselines.pca import linear_code_errors
from caelab.data.device_images import DeviceImages
from caelab.data.image_set import evenly_spaced
from caelab.files import write_text
from caelab.progress import progress
from caelab.report.run_images import RunImages
from caelab.report.run_reader import FinishedRun

WHOLE = "PCA, whole image"

SIZES = (64, 128, 256, 512, 768, 1024, 1536, 2048)
"""Sizes of linear codes, besides those of the study's networks."""

PATCHES = (4, 8)
"""Sides of the patches of linear codes by patch."""

RANGE_IMAGES = 8192
"""Training images that give the ranges in which codes are quantized."""

FILE_IMAGES = 1000
"""Test images that are stored as JPEG and WebP, the first of the part: every quality takes time."""


@dataclass(kw_only=True)
class StudyBaselines:
    """Baselines measured on the test images.

    Attributes:
        identity: Images and sizes of their parts, as text: other images have other baselines.
        sizes: Sizes that linear codes were asked for; not every size suits every kind.
        linear: Test MSE of linear codes by size, for each kind.
        files: JPEG and WebP at every quality.
        codes: Cost of the codes of some runs at several precisions, by the run's name.
    """

    identity: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    linear: dict[str, dict[int, float]] = field(default_factory=dict)
    files: tuple[FileCost, ...] = ()
    codes: dict[str, tuple[CodeCost, ...]] = field(default_factory=dict)


_FILE = TypeAdapter(StudyBaselines)


def measure_baselines(
    file: Path,
    *,
    run: FinishedRun,
    sizes: Sequence[int],
    coded: Sequence[FinishedRun],
    images: RunImages,
) -> StudyBaselines:
    """Measure what ``file`` does not hold yet, write it there, and return everything.

    Args:
        file: Earlier results; replaced if missing, damaged or of other images.
        run: Any run of the study: it determines the images and their split.
        sizes: Sizes of the networks' codes.
        coded: Runs whose codes are measured in bytes; each has a code that is a bottleneck.
        images: Images and networks of the runs.

    Raises:
        InputError: The images cannot be had or are not those of the run, weights are damaged, or
            the file cannot be written.
    """
    counts = run.result["images"]
    identity = (*map(str, run.images), *(f"{name} {count}" for name, count in counts.items()))
    try:
        baselines = _FILE.validate_json(file.read_bytes())
    except (OSError, ValidationError):
        baselines = StudyBaselines()
    if baselines.identity != identity:
        baselines = StudyBaselines(identity=identity)
    # A study may have grown since: only new sizes and new runs are measured.
    wanted = sorted({*SIZES, *sizes} - {*baselines.sizes})
    unmeasured = [each for each in coded if each.name not in baselines.codes]
    if not wanted and not unmeasured and baselines.files:
        return baselines
    train, test = images.part(run, "train"), images.part(run)
    for kind, line in _linear(train, test, wanted).items():
        known = baselines.linear.get(kind, {})
        baselines.linear[kind] = dict(sorted({**known, **line}.items()))
    baselines.sizes = tuple(sorted({*baselines.sizes, *wanted}))
    if not baselines.files:
        baselines.files = file_costs(test.at(np.arange(min(FILE_IMAGES, len(test)))))
    # Training images set the ranges, as a coder fixes them before it sees a test image.
    ranging = train.at(evenly_spaced(RANGE_IMAGES, len(train)))
    with progress("cost of the codes", len(unmeasured), unit="networks") as bar:
        for each in unmeasured:
            baselines.codes[each.name] = code_costs(images.model(each), ranging, test)
            bar()
    write_text(file, _FILE.dump_json(baselines, indent=2).decode() + "\n")
    return baselines


def _linear(
    train: DeviceImages, test: DeviceImages, sizes: Sequence[int]
) -> dict[str, dict[int, float]]:
    """Return the test MSE of linear codes by kind and size, as far as a kind has that size."""
    lines = {}
    for side in (None, *PATCHES):
        errors = linear_code_errors(train, test, sizes, patch=side)
        if errors:
            kind = WHOLE if side is None else f"PCA, {side}×{side} patches"
            lines[kind] = {size: float(values.mean()) for size, values in errors.items()}
    return lines
