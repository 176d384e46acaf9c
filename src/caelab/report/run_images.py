"""The images of runs, and the outputs of the trained networks for them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from caelab.data.device_images import DeviceImages
from caelab.data.image_set import ImageSet, evenly_spaced
from caelab.data.load import load_images
from caelab.errors import InputError
from caelab.experiments.setup import load_data
from caelab.metrics.evaluate import Estimate, estimates
from caelab.models.image_model import ImageModel
from caelab.models.inference import restoring
from caelab.models.weights_file import load_model
from caelab.plotting import to_rgb
from caelab.report.run_reader import FinishedRun


class RunImages:
    """Loads the images and the trained networks of runs, each only once.

    Args:
        data: Source of the images, or the images themselves; by default each run's own source.
    """

    def __init__(self, data: str | ImageSet | None = None) -> None:
        self._data = data
        self._sets: dict[tuple[str, int | str], ImageSet | InputError] = {}
        self._parts: dict[tuple[object, ...], DeviceImages] = {}
        self._models: dict[Path, ImageModel] = {}

    def load(self, run: FinishedRun) -> ImageSet:
        """Return all images of a run.

        Raises:
            InputError: The images cannot be loaded, or the source now holds other images.
        """
        # Runs with the same data set share its images, even if their splits differ.
        key = run.images[:2]
        if key not in self._sets:
            try:
                self._sets[key] = self._find(run)
            except InputError as error:
                # The error is stored, because a second attempt to read the data may take long.
                self._sets[key] = error
        found = self._sets[key]
        if isinstance(found, InputError):
            raise InputError(str(found))
        return found

    def _find(self, run: FinishedRun) -> ImageSet:
        sources: list[str | ImageSet] = [self._data] if self._data else []
        if not sources:
            # The place where the run found the images comes first, because the source "auto" may
            # find other images by now.
            where = run.source.get("where", "")
            sources = [
                *([where] if where and Path(where).expanduser().exists() else []),
                run.config.data.source,
            ]
        problems = []
        for source in sources:
            try:
                images = (
                    source
                    if isinstance(source, ImageSet)
                    else load_images(
                        source, size=run.config.data.shape[1:], channels=run.config.data.channels
                    )
                )
            except InputError as error:
                problems.append(error)
                continue
            if images.source.fingerprint == run.source["fingerprint"]:
                return images
            problems.append(
                InputError(
                    f"the images at {images.source.where} are not those that {run.name} was trained"
                    " on."
                )
            )
        raise problems[0]

    def part(
        self, run: FinishedRun, part: Literal["train", "validation", "test"] = "test"
    ) -> DeviceImages:
        """Return the training, validation or test images of a run, with their classes.

        Args:
            run: The run.
            part: Name of the part.

        Raises:
            InputError: The images cannot be loaded.
        """
        # Runs with the same split may use different numbers of training and validation images.
        key = (run.images, run.config.data.val_size, run.config.data.train_size, part)
        if key not in self._parts:
            images, split = load_data(run.config.data, self.load(run))
            self._parts[key] = DeviceImages.of(
                images.images,
                getattr(split, part),
                device=torch.device("cpu"),
                labels=images.labels,
            )
        return self._parts[key]

    def model(self, run: FinishedRun) -> ImageModel:
        """Return the trained network of a run.

        Raises:
            InputError: The weights are damaged.
        """
        path = run.directory.path
        if path not in self._models:
            # On the CPU, because a run may have been trained on a GPU that this machine lacks.
            self._models[path], _ = load_model(run.directory.weights, torch.device("cpu"))
        return self._models[path]

    def restored(self, run: FinishedRun, positions: np.ndarray | None = None) -> Iterator[Estimate]:
        """Yield test images as the run's network restores them, batch by batch.

        Args:
            run: Run whose network and images are used.
            positions: Positions among the test images, ``int64 (K,)``; by default all.

        Raises:
            InputError: The images cannot be loaded, or the weights are damaged.
        """
        pixels = self.part(run)
        if positions is not None:
            pixels = pixels.at(positions)
        with restoring(self.model(run)) as restore:
            yield from estimates(restore, pixels, degradation=run.config.degradation)

    def pictures(self, run: FinishedRun, positions: np.ndarray) -> dict[str, np.ndarray]:
        """Return test images with the network's inputs and outputs as pictures.

        Args:
            run: Run whose network and images are used.
            positions: Positions of the images among the test images, ``int64 (K,)``.

        Returns:
            ``degraded`` has the network's inputs, clipped to [0, 1], ``estimate`` its outputs, and
            ``target`` the true images. Each is ``float32 (K, 3, H, W)`` in [0, 1]; images without
            three channels are shown in gray.

        Raises:
            InputError: The images cannot be loaded, or the weights are damaged.
        """
        made = list(self.restored(run, positions))
        pictures = {}
        for name in ("degraded", "estimate", "target"):
            images = torch.cat([getattr(one, name) for one in made]).float().clamp(0, 1)
            pictures[name] = to_rgb(images.numpy())
        return pictures


def choose_images(run: FinishedRun, count: int) -> np.ndarray:
    """Return positions of test images, evenly spaced from the smallest error to the largest.

    Args:
        run: Run whose errors order the images.
        count: Largest number of images.

    Returns:
        Positions among the test images, ``int64 (K,)``.

    Raises:
        InputError: The run's errors by image are missing or damaged.
    """
    # A stable sort, so that a repeated report shows the same images even if errors are equal.
    order = np.argsort(run.measures["mse"], kind="stable")
    return np.asarray(order[evenly_spaced(count, len(order))])
