"""Classical methods beside a network: their parameters chosen on validation images, then measured,
once for all runs.

Most of them take milliseconds an image, seconds or minutes for a part. So they are measured on some
of its images, evenly spaced, and what they reach is kept: it depends on the images and the
degradation, not on any network.
"""

import contextlib
import hashlib
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from caelab.baselines.classical import ClassicalMethod, classical_methods
from caelab.data.pixels import Pixels
from caelab.degrade.degradation import Degradation
from caelab.errors import InputError
from caelab.files import replacing
from caelab.metrics.evaluate import Restore, measure_restored
from caelab.progress import Bar, progress

CHOOSING = 40
"""Validation images of 32×32 by which parameters are chosen."""

MEASURED = 500
"""Images of 32×32 that a method is measured on."""

_ROUND = 1
"""Counts the changes of the methods and their grids, which make what was kept worthless."""


def spread(count: int, most: int, size: int) -> np.ndarray:
    """Return positions, evenly spaced, of so many of ``count`` images that they take no longer than
    ``most`` of 32×32.

    Args:
        count: Images there are.
        most: Images of 32×32 that may be taken.
        size: Pixels of an image.
    """
    taken = min(count, most, max(8, most * 32 * 32 // size))
    return np.linspace(0, count - 1, taken).round().astype(np.int64)


def some(pixels: Pixels, most: int) -> Pixels:
    """Return those images of a part that ``spread`` takes."""
    return pixels.at(spread(len(pixels), most, pixels.shape[1] * pixels.shape[2]))


def choose_parameter(
    method: ClassicalMethod, pixels: Pixels, degradation: Degradation, bar: Bar
) -> float:
    """Return the value of the grid with the highest mean PSNR of these images, which should be
    validation images.
    """
    if len(method.grid) == 1:
        return method.grid[0]
    ratios = [
        measure_restored(_ticking(method.make(value), bar), pixels, degradation)["psnr"].mean()
        for value in method.grid
    ]
    return method.grid[int(np.argmax(ratios))]


def measure_classical(
    validation: Pixels, measured: Pixels, degradation: Degradation
) -> dict[str, dict[str, np.ndarray]]:
    """Return the measures, ``float64 (N,)`` by name, of each method for this degradation.

    Args:
        validation: By some of which each method's parameter is chosen.
        measured: Some of which are measured: see ``some``.
        degradation: What was done to the images.

    Returns:
        By the method's name with its parameter, such as ``"total variation, weight 0.08"``.
    """
    methods = classical_methods(degradation)
    choosing, chosen = some(validation, CHOOSING), some(measured, MEASURED)
    tries = sum(len(method.grid) for method in methods.values() if len(method.grid) > 1)
    measures = {}
    with progress(
        "classical methods", tries * len(choosing) + len(methods) * len(chosen), unit="images"
    ) as bar:
        for name, method in methods.items():
            value = choose_parameter(method, choosing, degradation, bar)
            measures[method.label(name, value)] = measure_restored(
                _ticking(method.make(value), bar), chosen, degradation
            )
    return measures


def cached_classical_measures(
    validation: Pixels, measured: Pixels, degradation: Degradation, folder: Path, key: str
) -> dict[str, dict[str, np.ndarray]]:
    """Return ``measure_classical``, kept in ``folder`` under ``key``, which names the data.

    A cache that cannot be read is made again; one that cannot be written is done without.
    """
    if not classical_methods(degradation):
        return {}
    digest = hashlib.sha256(f"{_ROUND} {CHOOSING} {MEASURED} {degradation}".encode())
    for pixels in (validation, measured):
        digest.update(repr(pixels.shape).encode() + pixels.rows.tobytes())
    file = folder / f"classical-{key}-{digest.hexdigest()[:16]}.npz"
    try:
        with file.open("rb") as stream, np.load(stream) as kept:
            measures: dict[str, dict[str, np.ndarray]] = {}
            for name in kept.files:
                method, metric = name.split("|")
                measures.setdefault(method, {})[metric] = kept[name]
            return measures
    except (OSError, ValueError, zipfile.BadZipFile):
        measures = measure_classical(validation, measured, degradation)
    with (
        contextlib.suppress(InputError),
        replacing(file) as temporary,
        temporary.open("wb") as written,
    ):
        flat = {
            f"{method}|{metric}": each
            for method, one in measures.items()
            for metric, each in one.items()
        }
        np.savez(written, allow_pickle=False, **flat)
    return measures


def _ticking(restore: Restore, bar: Bar) -> Restore:
    """Return the method that advances the bar every few images."""

    def restore_some(given: Tensor) -> Tensor:
        restored = []
        for part in torch.split(given, 16):
            restored.append(restore(part))
            bar(len(part))
        return torch.cat(restored)

    return restore_some
