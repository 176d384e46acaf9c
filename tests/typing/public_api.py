"""What users' code does with the public names, read by type checkers from outside the package."""

from pathlib import Path
from typing import assert_type

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import caelab


@caelab.register
class Identity(caelab.LayerKind):
    """A layer that changes nothing."""

    name = "identity"
    help = "changes nothing"

    def module(self, shape: tuple[int, int, int]) -> nn.Module:
        """Return the layer."""
        return nn.Identity()


@caelab.register
class Cubic(caelab.Loss):
    """The cube of the absolute error."""

    name = "cubic"

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean."""
        return ((output - target).abs() ** 3).mean()


def work(folder: Path) -> float:
    """Call every public function."""
    data = caelab.load_data("photos", size=32, train_size=500)
    assert_type(data.train, NDArray[np.uint8])
    assert_type(caelab.describe("reference").code_size, int | None)
    try:
        run = caelab.train("conv4 pool conv2 | up conv3", data, runs=folder, epochs=1)
    except caelab.InputError as error:
        raise SystemExit(error.exit_code) from error
    assert_type(run, caelab.Run)
    study = caelab.study({"wide": "conv8 | conv3"}, data, seeds=2, runs=folder)
    assert_type(study.best, caelab.Run)
    compared = caelab.compare(run, best=study.best, metric="mse")
    compared.samples().save(folder / "samples.png")
    model = caelab.load("reference")
    code = model.encode(data.test[:2])
    assert_type(model.decode(code), NDArray[np.float32])
    assert_type(Cubic()(torch.zeros(2), torch.ones(2)), Tensor)
    assert_type(Identity(), Identity)
    return run.test["mse"]
