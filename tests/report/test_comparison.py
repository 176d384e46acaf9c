import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from caelab.errors import InputError
from caelab.report.comparison import compare_runs, draw_differences, most_different


@pytest.fixture
def copied(small_study: Any, tmp_path: Path) -> Path:
    """A copy of a run that may be damaged."""
    return Path(shutil.copytree(small_study.run("kernel 1"), tmp_path / "copied"))


def rewrite(run: Path, **arrays: np.ndarray) -> None:
    with np.load(run / "per_image.npz") as kept:
        np.savez(run / "per_image.npz", **{**kept, **arrays})


def test_differences_are_those_of_the_means(small_study: Any) -> None:
    paths = [small_study.run("base"), small_study.run("kernel 1"), small_study.run("skip")]
    comparison = compare_runs(paths)
    means = {
        path.name: json.loads((path / "result.json").read_text())["test"]["mse"] for path in paths
    }
    assert [(pair.first, pair.second) for pair in comparison.pairs] == list(
        itertools.combinations(means, 2)
    )
    for pair in comparison.pairs:
        first, second = means[pair.first], means[pair.second]
        assert pair.difference.estimate == pytest.approx(first - second)
        assert pair.corrected >= pair.p_value
        assert comparison.winner(pair) in (None, pair.first if first < second else pair.second)


def test_higher_is_better_where_the_metric_says_so(small_study: Any, copied: Path) -> None:
    base = small_study.run("base")
    with np.load(base / "per_image.npz") as kept:
        rewrite(copied, mse=kept["mse"] / 10, psnr=kept["psnr"] + 10)
    for metric in ("mse", "psnr"):
        comparison = compare_runs([base, copied], metric=metric)
        (pair,) = comparison.pairs
        assert comparison.winner(pair) == "copied"
    assert pair.difference.estimate == pytest.approx(-10)


def test_colorfulness_is_compared_by_its_distance_from_the_truth(
    small_study: Any, copied: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(small_study.run("base"), tmp_path / "other"))
    with np.load(copied / "per_image.npz") as kept:
        truth = np.full(len(kept["index"]), 30.0)
    rewrite(copied, colorfulness=truth + 20, true_colorfulness=truth)
    rewrite(other, colorfulness=truth - 5, true_colorfulness=truth)
    comparison = compare_runs([copied, other], metric="colorfulness")
    assert comparison.winner(comparison.pairs[0]) == "other"
    assert comparison.pairs[0].difference.estimate == pytest.approx(15)


def test_runs_of_one_name_are_told_apart_by_their_paths(small_study: Any, tmp_path: Path) -> None:
    base = small_study.run("base")
    again = Path(shutil.copytree(base, tmp_path / base.name))
    assert list(compare_runs([base, again]).runs) == [str(base), str(again)]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda run: (run / "result.json").unlink(), "is not finished"),
        (lambda run: (run / "per_image.npz").write_bytes(b"PK"), "cannot read .*per_image.npz"),
        (lambda run: (run / "weights.safetensors").unlink(), "weights.safetensors is missing"),
        (lambda run: (run / "result.json").write_text("{}"), "is damaged"),
        (lambda run: shutil.rmtree(run), "there is no run"),
        (
            lambda run: change(run, data={"fingerprint": "0" * 32, "where": "/elsewhere"}),
            "their images are from .*elsewhere",
        ),
        (
            lambda run: change(run, config={"data": {"split_seed": 7}}),
            "split_seed is 0 in one run and 7",
        ),
        (
            lambda run: rewrite(run, index=np.arange(12)),
            "their files per_image.npz list different images",
        ),
        (
            lambda run: rewrite(run, mse=np.full(12, np.nan)),
            "not finite for 12 images. Train this run again.",
        ),
    ],
)
def test_what_cannot_be_compared_is_said(
    small_study: Any, copied: Path, damage: Any, said: str
) -> None:
    damage(copied)
    with pytest.raises(InputError, match=said):
        compare_runs([small_study.run("base"), copied])


def change(run: Path, **parts: dict[str, Any]) -> None:
    def update(content: dict[str, Any], changes: dict[str, Any]) -> None:
        for name, value in changes.items():
            if isinstance(value, dict):
                update(content[name], value)
            else:
                content[name] = value

    content = json.loads((run / "config.json").read_text())
    update(content, parts)
    (run / "config.json").write_text(json.dumps(content))


def test_it_takes_two_different_runs_and_a_metric_that_both_have(small_study: Any) -> None:
    base = small_study.run("base")
    with pytest.raises(InputError, match="takes two runs or more"):
        compare_runs([base])
    with pytest.raises(InputError, match="named twice"):
        compare_runs([base, base / ".." / base.name])
    with pytest.raises(InputError, match=r"not measured by ssim, only by .*mse"):
        compare_runs([base, small_study.run("kernel 1")], metric="ssim")


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 2), min_size=1, max_size=30), st.integers(1, 8))
def test_of_two_models_both_ends_are_shown(pairs: list[tuple[float, float]], count: int) -> None:
    first, second = np.array(pairs).T
    positions = most_different({"a": first, "b": second}, count)
    difference = first - second
    assert len(set(positions)) == len(positions) == min(count, len(pairs))
    left = np.delete(difference, positions)
    half = len(positions) - len(positions) // 2
    assert all(difference[positions[:half]].max() <= each for each in left)
    assert all(difference[positions[half:]].min(initial=np.inf) >= each for each in left)


def test_of_three_models_the_widest_spread_comes_first() -> None:
    values = {"a": np.array([0, 0, 0.0]), "b": np.array([1, 3, 2.0]), "c": np.array([0.5, 1, 5.0])}
    assert list(most_different(values, 2)) == [2, 1]


def test_the_picture(small_study: Any, tmp_path: Path) -> None:
    comparison = compare_runs([small_study.run("base"), small_study.run("skip")])
    draw_differences(comparison, tmp_path / "differ.png")
    with Image.open(tmp_path / "differ.png") as picture:
        assert picture.width > 1000
    with pytest.raises(InputError, match=r"should end in \.png or \.svg"):
        draw_differences(comparison, tmp_path / "differ.txt")
    with pytest.raises(InputError, match="are not those that"):
        draw_differences(comparison, tmp_path / "differ.png", data="photos")
