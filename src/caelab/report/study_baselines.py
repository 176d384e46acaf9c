"""Linear codes of the sizes of a study's networks, as their baseline.

Fitting takes some time, so the results are kept in a file in the study's folder, and only missing
sizes are measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from caelab.baselines.pca import linear_code_errors
from caelab.files import write_text
from caelab.report.run_images import RunImages
from caelab.report.run_reader import FinishedRun

WHOLE = "PCA, whole image"

SIZES = (64, 128, 256, 512, 768, 1024, 1536, 2048)
"""Sizes of linear codes, besides those of the study's networks."""

PATCHES = {WHOLE: None, "PCA, 4×4 patches": 4, "PCA, 8×8 patches": 8}
"""Kinds of linear codes: side of the patches that are coded one by one."""


@dataclass(kw_only=True)
class StudyBaselines:
    """Linear codes measured on the test images.

    Attributes:
        identity: Images and sizes of their parts, as text: other images have other baselines.
        sizes: Sizes that were measured, or that suit no kind of linear code.
        linear: Test MSE of linear codes by size, for each kind.
    """

    identity: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    linear: dict[str, dict[int, float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LinearAnswer:
    """The networks of a study against PCA of whole images with as many numbers.

    Attributes:
        compared: Number of networks that were compared; the others have no code that is a
            bottleneck, or one as large as an image.
        better: Labels of those with a smaller error than PCA.
    """

    compared: int
    better: tuple[str, ...]


_FILE = TypeAdapter(StudyBaselines)


def measure_baselines(
    file: Path, *, run: FinishedRun, sizes: Sequence[int], images: RunImages
) -> StudyBaselines:
    """Measure what ``file`` does not hold yet, write it there, and return everything.

    Args:
        file: Earlier results; replaced if missing, damaged or of other images.
        run: Any run of the study: it determines the images and their split.
        sizes: Sizes of the networks' codes.
        images: Gives the images.

    Raises:
        InputError: The images cannot be loaded or are not those of the run, or the file cannot be
            written.
    """
    counts = run.result["images"]
    identity = (*map(str, run.images), *(f"{name} {count}" for name, count in counts.items()))
    try:
        baselines = _FILE.validate_json(file.read_bytes())
    except (OSError, ValidationError):
        baselines = StudyBaselines()
    # Folders are copied and data sets replaced, so the file must say whose numbers it has.
    if baselines.identity != identity:
        baselines = StudyBaselines(identity=identity)
    # The study may have new sizes since the file was written.
    wanted = sorted({*SIZES, *sizes} - {*baselines.sizes})
    if not wanted:
        return baselines
    train, test = images.part(run, "train"), images.part(run)
    for kind, side in PATCHES.items():
        errors = linear_code_errors(train, test, wanted, patch=side)
        line = {size: float(values.mean()) for size, values in errors.items()}
        line |= baselines.linear.get(kind, {})
        # Not every size suits every kind, because each patch has a whole number of components.
        if line:
            baselines.linear[kind] = dict(sorted(line.items()))
    baselines.sizes = tuple(sorted({*baselines.sizes, *wanted}))
    write_text(file, _FILE.dump_json(baselines, indent=2).decode() + "\n")
    return baselines
