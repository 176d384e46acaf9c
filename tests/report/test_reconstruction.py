"""Sentences about the reference network follow its numbers, on both sides of each condition."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from caelab.experiments.config import RunConfig
from caelab.experiments.run import run
from caelab.report.document import Part
from caelab.report.reconstruction import ReconstructionAnswer, SitesAnswer, reconstruction_part
from caelab.report.render_markdown import render_markdown
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
    _, alone = reconstruction_part([[second]], RunImages(), above=False)
    assert alone.context["samples"] is None
    answer, found = reconstruction_part([[first, second]], RunImages(), above=False)
    assert found.context["answer"] is answer
    return found


def with_answer(part: Part, **changed: Any) -> Part:
    return Part(
        "reconstruction", {**part.context, "answer": replace(part.context["answer"], **changed)}
    )


def test_numbers_are_those_of_the_runs(part: Part, say: Say) -> None:
    answer: ReconstructionAnswer = part.context["answer"]
    row, *baselines = part.context["errors"]
    assert row[5:7] == (1, 2)
    assert row[1] == answer.mse.estimate
    assert row[2] < row[1] < row[3]
    assert [each[1] for each in baselines] == [*answer.linear.values()]
    assert len(answer.validation) == 1
    assert answer.sites is not None
    assert answer.sites.flat > 0
    assert "the last one" not in say(part)


@pytest.mark.parametrize(("ratio", "times"), [(2.0, True), (0.5, True), (1.01, False)])
def test_linear_codes_are_compared(part: Part, say: Say, ratio: float, times: bool) -> None:
    mse = part.context["answer"].mse.estimate
    text = say(with_answer(part, linear={4: mse / ratio, 8: 0.0}))  # one code is exact
    assert ("times the error of PCA with 4 numbers" in text) == times
    assert ("about the error of PCA with 4 numbers" in text) != times
    assert "PCA with 8 numbers" not in text


@pytest.mark.parametrize(
    ("losses", "change"), [((2.0, 1.0), "fell by 50%"), ((1.0, 1.1), "rose by 10%")]
)
def test_the_last_epoch(part: Part, say: Say, losses: tuple[float, ...], change: str) -> None:
    text = say(with_answer(part, validation=losses)).replace("\\", "")
    assert f"the validation error {change}." in text


def sites(**changed: float) -> SitesAnswer:
    usual = {"flat": 1.0, "steep_share": 0.75, "steepness": 3.0, "lowest": 0.1, "highest": 0.1}
    return SitesAnswer(**{**usual, "border": 1.0, **changed})


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"highest": 0.5}, "Fine detail goes first"),
        ({"lowest": 0.5}, "in the lowest band of frequency, 50%, than"),
        ({"border": 1.4}, "has 1.4 times the error"),
        ({"border": 0.8}, "has 0.80 times the error"),
    ],
)
def test_where_the_error_sits(part: Part, say: Say, changed: dict[str, Any], sentence: str) -> None:
    text = say(with_answer(part, sites=sites(**changed)))
    assert sentence in text
    assert sentence not in say(with_answer(part, sites=sites()))
    assert "carries 75% of the squared error" in text


def test_what_is_missing_is_said(part: Part, say: Say) -> None:
    missing = {"missing_sites": "no images", "samples": None}
    text = say(Part("reconstruction", {**with_answer(part, sites=None).context, **missing}))
    assert "cannot be shown: no images" in text
    assert "has no samples.png" in text


def test_reconstructions_are_shown_once(part: Part) -> None:
    for above in (True, False):
        document = render_markdown([Part("reconstruction", {**part.context, "above": above})])
        assert ("reconstructions.png" in document.pictures) != above
