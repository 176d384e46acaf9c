"""Errors of linear codes (PCA), with which the networks of a study are compared.

Fitting takes some time, so the errors are kept in a file in the study's folder, and only sizes that
the file lacks are measured.
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
"""Kind of linear code that codes an image as a whole."""

SIZES = (64, 128, 256, 512, 768, 1024, 1536, 2048)
"""Sizes of linear codes that are measured besides the code sizes of the study's networks."""

PATCHES = {WHOLE: None, "PCA, 4×4 patches": 4, "PCA, 8×8 patches": 8}
"""Kinds of linear codes, and side in pixels of the square patches that each codes one by one."""


@dataclass(kw_only=True)
class StudyBaselines:
    """Errors of linear codes on the test images.

    Attributes:
        identity: Fingerprint, size, split and number of the images that the errors are for.
        sizes: Sizes that were measured. Sizes that suit no kind of linear code count as measured.
        linear: For each kind of linear code, its test MSE by size.
    """

    identity: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    linear: dict[str, dict[int, float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LinearAnswer:
    """Comparison of a study's networks with PCA of whole images at the same size of the code.

    Attributes:
        compared: Number of networks that were compared. The others have no code that is a
            bottleneck, or a code that is larger than a code of PCA can be.
        better: Labels of the compared networks that have a smaller test error than PCA.
    """

    compared: int
    better: tuple[str, ...]


_FILE = TypeAdapter(StudyBaselines)


def measure_baselines(
    file: Path, *, run: FinishedRun, sizes: Sequence[int], images: RunImages
) -> StudyBaselines:
    """Return the errors of linear codes; measure those that ``file`` lacks, and add them to it.

    Args:
        file: File of earlier results; replaced if it is missing, damaged or about other images.
        run: Any run of the study: it determines the images and their split.
        sizes: Sizes of the networks' codes, in numbers.
        images: Loads the images.

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
    # The folder may have been copied or the data set replaced, so the file names its images.
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
        # Some sizes suit no patches, because every patch has the same whole number of components.
        if line:
            baselines.linear[kind] = dict(sorted(line.items()))
    baselines.sizes = tuple(sorted({*baselines.sizes, *wanted}))
    write_text(file, _FILE.dump_json(baselines, indent=2).decode() + "\n")
    return baselines
