from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from caelab.experiments.run_figures import choose_samples, draw_error, draw_samples
from caelab.metrics.evaluate import Estimate

RECORDS = [
    {
        "epoch": float(epoch),
        "train_mse": 0.02 / epoch,
        "validation_mse": 0.021 / epoch + 0.001 * (epoch == 3),
    }
    for epoch in (1, 2, 3)
]


def draw(*files: Path, footnote: str = "photos: 10 images") -> None:
    draw_error(
        *files,
        title="reference",
        records=RECORDS,
        result={
            "best_epoch": 2,
            "test": {"mse": 0.0104},
            "baselines": {"PCA, 8 numbers": {"mse": 0.005}},
        },
        footnote=footnote,
    )


def test_samples_are_the_best_the_middle_and_the_worst() -> None:
    errors = np.array([5.0, 1, 4, 0, 3, 2, 6])
    assert choose_samples(errors, 3).tolist() == [[3, 1, 5], [5, 4, 2], [2, 0, 6]]


@pytest.mark.parametrize("total", [1, 2, 3, 4, 9])
def test_few_images_give_few_samples(total: int) -> None:
    count = min(3, total)
    chosen = choose_samples(np.arange(total)[::-1] * 1.0, 3)
    assert chosen.shape == (3, count)
    assert all(len(set(row)) == count for row in chosen.tolist())


def test_the_curve_says_its_numbers_and_is_the_same_every_time(tmp_path: Path) -> None:
    draw(tmp_path / "error.svg", tmp_path / "error.png")
    draw(tmp_path / "again.svg", tmp_path / "again.png")
    assert (tmp_path / "error.svg").read_bytes() == (tmp_path / "again.svg").read_bytes()
    assert (tmp_path / "error.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    with Image.open(tmp_path / "error.png") as picture:
        assert picture.width >= 1000


def test_samples_show_the_pixels(tmp_path: Path) -> None:
    red = torch.zeros(2, 3, 8, 8)
    red[:, 0] = 1
    blocks = [Estimate(target=red, estimate=red.flip(1), degraded=red.flip(1))] * 3
    draw_samples(tmp_path / "samples.png", blocks, show_input=False, title="test", footnote="")
    with Image.open(tmp_path / "samples.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    reds, blues = ((pixels == color).all(1).sum() for color in ([255, 0, 0], [0, 0, 255]))
    assert reds > 10_000
    assert blues > 10_000


def test_a_long_footnote_stays_inside_the_picture(tmp_path: Path) -> None:
    for name, footnote in [
        ("short", "photos"),
        ("long", "these are the built-in photos, not CIFAR-10 " * 8),
    ]:
        draw(tmp_path / f"{name}.png", footnote=footnote)
    with Image.open(tmp_path / "long.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    assert (pixels[-90:, :12] == 255).all()
    assert (pixels[-90:, -12:] == 255).all()
    assert (pixels[-90:] < 255).any()
