"""Sentences about the reference network follow its numbers, on both sides of each condition."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caelab.experiments.config import RunConfig
from caelab.experiments.run import run
from caelab.report.document import Part
from caelab.report.error_sites import ErrorSites
from caelab.report.exercise1 import reconstruction_part
from caelab.report.run_images import RunImages
from caelab.report.run_reader import read_run

Say = Callable[[Part], str]


@pytest.fixture(scope="module")
def part(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Part:
    runs = tmp_path_factory.mktemp("runs")
    trained = [
        run(
            RunConfig().replace(
                network="conv4 pool conv2 | up conv3",
                data=str(pictures),
                size=16,
                batch_size=16,
                epochs=1,
                seed=seed,
            ),
            runs=runs,
        )
        for seed in (0, 1)
    ]
    (trained[1].path / "samples.png").unlink()
    first, second = (read_run(directory.path) for directory in trained)
    assert reconstruction_part([[second]], RunImages()).context["samples"] is None
    return reconstruction_part([[first, second]], RunImages())


def test_numbers_are_those_of_the_runs(part: Part, say: Say) -> None:
    row, *baselines = part.context["errors"]
    assert row[1:3] == (1, 2)
    assert row[3] == part.context["mse"].estimate
    assert row[4] < row[3] < row[5]
    assert [each[0] for each in baselines] == [name for name, _ in part.context["linear_codes"]]
    assert sum(each[3] for each in part.context["bands"]) == pytest.approx(
        part.context["sites"].by_pixel.mean()
    )
    assert sum(each[5] for each in part.context["bands"]) == pytest.approx(1)
    assert "another seed's error may differ" not in say(part)


@pytest.mark.parametrize(
    ("ratios", "times", "linear_is_better"),
    [((2.0, 3.0), 2, True), ((0.5, 2.0), 2, False), ((1.01, 2.0), 1, False)],
)
def test_linear_codes_are_compared(
    part: Part, say: Say, ratios: tuple[float, float], times: int, linear_is_better: bool
) -> None:
    codes = [("PCA, 4 numbers", ratios[0]), ("PCA, 8 numbers", ratios[1])]
    text = say(Part("exercise1", {**part.context, "linear_codes": codes}))
    assert text.count(" times that of PCA") == times
    assert ("is about that of PCA, 4 numbers" in text) == (times == 1)
    assert ("A linear code of the same size reconstructs better" in text) == linear_is_better


def sites(**changed: Any) -> ErrorSites:
    usual: dict[str, Any] = {
        "by_pixel": np.ones((2, 2)), "border": 1.0, "frequencies": np.array([0.25, 0.5]),
        "error_power": np.array([0.1, 0.1]), "image_power": np.array([1.0, 1.0]),
        "by_steepness": np.array([1.0, 3.0]), "n": 5,
    }  # fmt: skip
    return ErrorSites(**{**usual, **changed})


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"error_power": np.array([0.1, 0.5])}, "10% of the images' power is lost in the lowest"),
        ({"error_power": np.array([0.5, 0.1])}, "largest at the lowest frequencies"),
        ({"border": 1.4}, "has 1.4 times the error"),
        ({"border": 0.5}, "has only 0.50 times the error"),
        ({}, "about the same error as their inside"),
    ],
)
def test_where_the_error_sits(part: Part, say: Say, changed: dict[str, Any], sentence: str) -> None:
    text = say(Part("exercise1", {**part.context, "sites": sites(**changed)}))
    assert sentence in text
    assert ("lowest" in text) == ("error_power" in changed)
    assert ("about the same error as" in text) == ("border" not in changed)
    assert "carries 75% of the squared error" in text


def test_what_is_missing_is_said(part: Part, say: Say) -> None:
    text = say(Part("exercise1", {**part.context, "sites": "no images", "samples": None}))
    assert "cannot be shown: no images" in text
    assert "has no samples.png" in text
