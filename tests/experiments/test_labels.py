import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.engines.base import SerialEngine
from caelab.experiments.run import run
from caelab.experiments.study import read_study
from caelab.experiments.study_runner import run_study
from caelab.models.weights_file import load_model
from caelab.sklearn import ConvolutionalAutoencoder

NETWORK = "conv4 pool conv6 classify2 | up conv3"


@pytest.mark.parametrize("option", [{}, {"ema_decay": 0.9}, {"train_size": 48}])
def test_a_run_learns_the_labels_beside_the_images(
    small: Callable[..., RunConfig], tmp_path: Path, option: dict[str, Any]
) -> None:
    done = run(
        small(network=NETWORK, class_loss_weight=0.5, epochs=6, **option), out=tmp_path / "run"
    )
    with (done.path / "epochs.csv").open() as file:
        told = [float(row["train_labels"]) for row in csv.DictReader(file)]
    assert 0 < told[-1] < told[0] < 0.5 * 3
    model, card = load_model(done.weights, device=torch.device("cpu"))
    assert card.network.count("classify2") == 1
    assert model.restore(torch.rand(1, 3, 16, 16)).shape == (1, 3, 16, 16)


def test_images_that_have_not_these_classes_are_refused(
    small: Callable[..., RunConfig], tmp_path: Path
) -> None:
    with pytest.raises(
        InputError, match=r"classify7, but the images of .* have 2 classes\. Write classify2\."
    ):
        run(small(network=NETWORK.replace("classify2", "classify7")), out=tmp_path / "run")
    with pytest.raises(
        InputError, match=r"classify2, but the images of .* have no classes\. Remove the layer, or"
    ):
        run(small(network=NETWORK, data="photos", size=32), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_study_says_so_before_it_trains(pictures: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "study.toml"
    recipe.write_text(
        '[base]\nnetwork = "conv4 conv3"\n[networks]\n"labels" = "conv4 classify9 conv3"\n'
    )
    study = read_study(
        recipe,
        options={"data": {"source": str(pictures), "size": 16}, "epochs": 1, "batch_size": 16},
    )
    with pytest.raises(InputError, match="classify9"):
        next(run_study(study, engine=SerialEngine(), runs=tmp_path / "runs", out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_weight_without_labels_is_refused(
    small: Callable[..., RunConfig], tmp_path: Path
) -> None:
    with pytest.raises(
        InputError,
        match=r"`loss.class_loss_weight` 0\.5 has an effect only with networks with a classify",
    ):
        run(small(class_loss_weight=0.5), out=tmp_path / "run")


def test_scikit_learns_estimator_has_no_labels() -> None:
    with pytest.raises(ValueError, match=r"classify2 .* these images have no classes"):
        ConvolutionalAutoencoder(NETWORK).fit(np.zeros((8, 3, 8, 8)))
