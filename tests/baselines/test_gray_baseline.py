from pathlib import Path

import numpy as np
import pytest
import torch

from caelab.baselines.gray_baseline import gray_copy, mean_chroma
from caelab.color import SPACES, luminance
from caelab.data.device_images import DeviceImages
from caelab.data.load import load_images
from caelab.data.split import split_images
from caelab.metrics.image_metrics import measure

YCBCR = SPACES["ycbcr"]


def test_the_gray_copy_has_the_luma_and_no_chroma() -> None:
    luma = torch.rand(2, 1, 5, 4, generator=torch.Generator().manual_seed(0))
    copied = gray_copy(luma)
    torch.testing.assert_close(luminance(copied), luma)
    assert YCBCR.chroma(copied).abs().max() < 1e-6


def test_mean_chroma_puts_the_average_of_all_pixels_on_every_pixel_of_the_luma() -> None:
    images = np.random.default_rng(0).integers(
        60, 200, (1500, 3, 4, 4), dtype=np.uint8
    )  # two batches, uneven
    pixels = DeviceImages.of(images, np.arange(1500), device=torch.device("cpu"))
    average = YCBCR.chroma(pixels.batch(slice(None)).double()).mean((0, 2, 3))
    luma = torch.rand(2, 1, 5, 4, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    colored = YCBCR.from_rgb(mean_chroma(pixels)(luma))
    torch.testing.assert_close(colored[:, :1], luma)
    torch.testing.assert_close(
        colored[:, 1:], average.float().view(1, 2, 1, 1).expand(2, 2, 5, 4), atol=1e-6, rtol=1e-4
    )


def test_mean_chroma_is_the_best_constant() -> None:
    images = np.random.default_rng(0).integers(100, 150, (50, 3, 4, 4), dtype=np.uint8)
    pixels = DeviceImages.of(images, np.arange(50), device=torch.device("cpu"))
    target = pixels.batch(slice(None))
    best = YCBCR.from_rgb(mean_chroma(pixels)(luminance(target)))

    def error(change: float) -> float:
        return float((best + change - YCBCR.from_rgb(target))[:, 1:].square().mean())

    assert error(0) < min(error(0.003), error(-0.003))


@pytest.mark.cifar10
@pytest.mark.slow
def test_on_cifar10_both_are_as_measured_elsewhere(cifar10_path: Path) -> None:
    images = load_images(cifar10_path)
    split = split_images(images, mode="official")
    train, test = (
        DeviceImages.of(images.images, rows, device=torch.device("cpu"))
        for rows in (split.train, split.test)
    )
    colored = mean_chroma(train)
    names = ("mse", "mae", "chroma_mse", "ciede2000", "accuracy2", "accuracy5")
    values: dict[str, list[float]] = {}
    for chosen in test.batches(250):
        target = test.batch(chosen)
        luma = luminance(target)
        for baseline, estimate in (
            ("gray", gray_copy(luma)),
            ("mean", colored(luma)),
        ):
            for name, value in measure(estimate, target, names).items():
                values.setdefault(f"{baseline} {name}", []).append(value.mean())
        truth = measure(target, target, ["colorfulness"])["colorfulness"].mean()
        values.setdefault("truth colorfulness", []).append(truth)
    assert {name: float(np.mean(each)) for name, each in values.items()} == {
        "gray mse": pytest.approx(0.00662, abs=6e-6),
        "gray mae": pytest.approx(5.00, abs=0.006),
        "gray chroma_mse": pytest.approx(0.0036, abs=6e-5),
        "gray ciede2000": pytest.approx(10.49, abs=0.01),
        "gray accuracy2": pytest.approx(26.4, abs=0.06),
        "gray accuracy5": pytest.approx(55.8, abs=0.06),
        "mean mse": pytest.approx(0.00620, abs=6e-6),
        "mean mae": pytest.approx(4.93, abs=0.006),
        "mean chroma_mse": pytest.approx(0.00337, abs=6e-6),
        "mean ciede2000": pytest.approx(11.06, abs=0.01),
        "mean accuracy2": pytest.approx(
            19.7, abs=0.4
        ),  # moves by 2 where a mean crosses a rounding edge of Lab
        "mean accuracy5": pytest.approx(56.8, abs=0.06),
        "truth colorfulness": pytest.approx(33.7, abs=0.06),
    }
