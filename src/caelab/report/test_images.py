"""Test images, and what trained networks make of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from caelab.data import load_images, split_images
from caelab.data.pixels import Pixels
from caelab.degrade.degradation import parse_degradation
from caelab.errors import InputError
from caelab.metrics.evaluate import Estimate, estimates
from caelab.models.inference import restoring
from caelab.models.weights_file import load_model
from caelab.report.run_reader import FinishedRun


@dataclass(frozen=True, kw_only=True)
class TestImages:
    """The test part of some images.

    Attributes:
        pixels: The images.
        labels: ``int64 (N,)``; ``None`` where there are no classes.
        classes: Their names.
        note: What must be known of the images.
    """

    pixels: Pixels
    labels: np.ndarray | None
    classes: tuple[str, ...]
    note: str


class Album:
    """The test images of runs, each set of images read once.

    Args:
        data: Where the images are, if not where the runs had them.
    """

    def __init__(self, data: str | None = None) -> None:
        self.data = data
        self._read: dict[tuple[str, int, str, int], TestImages | str] = {}

    def test(self, run: FinishedRun) -> TestImages:
        """Return the test images of a run.

        Raises:
            InputError: They cannot be had, or what is there now are other images.
        """
        if run.images not in self._read:
            try:
                self._read[run.images] = self._load(run)
            except InputError as error:
                self._read[run.images] = str(error)
        read = self._read[run.images]
        if isinstance(read, str):
            raise InputError(read)
        return read

    def _load(self, run: FinishedRun) -> TestImages:
        named = self.data or run.config.data.source
        images = load_images(None if named == "auto" else named, size=run.config.data.size)
        if images.source.fingerprint != run.source["fingerprint"]:
            raise InputError(
                f"the images at {images.source.where} are not those that {run.name} was trained on."
            )
        rows = split_images(
            images, mode=run.config.data.split, seed=run.config.data.split_seed
        ).test
        return TestImages(
            pixels=Pixels.of(images.images, rows, device=torch.device("cpu")),
            labels=None if images.labels is None else images.labels[rows],
            classes=images.classes,
            note=images.source.note,
        )

    def restored(self, run: FinishedRun, positions: np.ndarray | None = None) -> Iterator[Estimate]:
        """Yield what the run's network makes of its test images, or of those at ``positions``,
        batch by batch.

        Raises:
            InputError: The images cannot be had, or the weights are damaged.
        """
        pixels = self.test(run).pixels
        if positions is not None:
            pixels = pixels.at(positions)
        model, card = load_model(run.directory.weights, torch.device("cpu"))
        with restoring(model) as restore:
            yield from estimates(restore, pixels, degradation=parse_degradation(card.degradation))

    def pictures(self, run: FinishedRun, positions: np.ndarray) -> dict[str, np.ndarray]:
        """Return ``given``, ``estimate`` and ``target`` of the test images at ``positions``:
        ``float32 (K, 3, H, W)``.

        What is given is clipped to [0, 1], and has three equal channels where it is gray.

        Raises:
            InputError: The images cannot be had, or the weights are damaged.
        """
        made = list(self.restored(run, positions))
        pictures = {
            name: torch.cat([getattr(one, field) for one in made]).float().clamp(0, 1).numpy()
            for name, field in (
                ("given", "degraded"),
                ("estimate", "estimate"),
                ("target", "target"),
            )
        }
        return {name: np.repeat(each, 3, 1) if each.shape[1] == 1 else each
                for name, each in pictures.items()}  # fmt: skip
