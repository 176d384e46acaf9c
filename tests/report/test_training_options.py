"""Options of the training: which values the runs of each task have."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from caelab.experiments.config import RunConfig
from caelab.report.document import Part
from caelab.report.run_reader import FinishedRun, read_run
from caelab.report.training_options import RARE, USUAL, training_part


@pytest.fixture
def run(small_study: Any) -> FinishedRun:
    return read_run(small_study.run("base"))


def changed(run: FinishedRun, rate: float = 0.004, **options: Any) -> FinishedRun:
    config: RunConfig = run.config.replace(**options)
    return replace(run, config=config, result={**run.result, "peak_learning_rate": rate})


def test_each_task_has_the_values_of_its_runs(run: FinishedRun) -> None:
    answer, part = training_part(
        [
            changed(run, 0.008),
            changed(run, 0.002, ema_decay=0.999),
            changed(run, 0.002, degradation="gray", flip=True),
        ]
    )
    assert answer.tasks == ("reconstruct", "color")
    assert [name for name in answer.options if name in RARE] == ["flip"]
    assert {name for name in answer.options if name in USUAL} == set(USUAL)
    assert answer.options["learning_rate"] == ((0.002, 0.008), (0.002,))
    assert answer.options["ema_decay"] == ((None, 0.999), (None,))
    assert answer.options["flip"] == ((False,), (True,))
    assert part.context["layers"].keys() == {"conv", "pool", "up"}


def test_every_option_has_words(run: FinishedRun, say: Callable[[Part], str]) -> None:
    other = {
        "precision": "float32", "flip": True, "translate": 1, "scale_jitter": 0.1, "rotate": 1.0,
        "gamma_jitter": 0.1, "tta_flip": True, "tta_shift": 1, "tta_scale": True,
        "color_loss_weight": 0.1, "grad_clip": 1.0, "patience": 9, "batchnorm": True,
    }  # fmt: skip
    answer, part = training_part([changed(run, **other)])
    assert set(answer.options) == {*USUAL, *RARE}
    text = say(part).replace("\\", "")
    assert all(f"({name}). |" in text for name in (*USUAL, *RARE))
