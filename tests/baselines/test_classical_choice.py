from pathlib import Path

import numpy as np
import pytest
import torch

from caelab.baselines import classical_choice
from caelab.baselines.classical import ClassicalMethod, classical_methods
from caelab.baselines.classical_choice import (
    cached_classical_measures,
    choose_parameter,
    measure_classical,
    spread,
)
from caelab.data import load_images, split_images
from caelab.data.pixels import Pixels
from caelab.degrade.degradation import parse_degradation
from caelab.metrics.evaluate import measure_restored
from caelab.progress import Bar

QUIET = Bar(lambda _: None, lambda _: None)
CPU = torch.device("cpu")


def pixels(count: int, seed: int) -> Pixels:
    rng = np.random.default_rng(seed)
    low = rng.integers(40, 216, (count, 3, 2, 2), dtype=np.uint8)
    return Pixels.of(low.repeat(6, 2).repeat(6, 3), np.arange(count), device=CPU)


def test_images_are_spread_over_the_part_and_fewer_where_they_are_large() -> None:
    np.testing.assert_array_equal(spread(5, 500, 1024), np.arange(5))
    np.testing.assert_array_equal(spread(9, 5, 1024), [0, 2, 4, 6, 8])
    assert len(spread(6000, 500, 64 * 64)) == 125
    assert len(spread(6000, 500, 1024 * 1024)) == 8
    assert len(np.unique(spread(6000, 500, 1024))) == 500


def test_the_parameter_is_the_best_of_the_grid() -> None:
    truth = pixels(6, 0).batch(slice(None))
    method = ClassicalMethod(
        make=lambda value: lambda given: truth + (value - 3) * 0.01,
        parameter="value",
        grid=(1, 2, 3, 5),
    )
    assert choose_parameter(method, pixels(6, 0), parse_degradation("noise0.1"), QUIET) == 3
    assert method.label("method", 3) == "method, value 3"
    assert ClassicalMethod(make=method.make).label("method", 0) == "method"


def test_what_is_measured_is_the_chosen_method_on_the_images() -> None:
    degradation = parse_degradation("downscale2")
    measures = measure_classical(pixels(20, 1), pixels(30, 2), degradation)
    assert next(iter(measures)) == "Lanczos"
    lanczos = classical_methods(degradation)["Lanczos"]
    expected = measure_restored(lanczos.make(0), pixels(30, 2), degradation)
    for name, values in expected.items():
        np.testing.assert_allclose(measures["Lanczos"][name], values, rtol=1e-5)


def test_what_is_kept_is_used_unless_images_or_degradation_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def measure(
        validation: Pixels, measured: Pixels, degradation: object
    ) -> dict[str, dict[str, np.ndarray]]:
        calls.append(str(degradation))
        return {"total variation, weight 0.08": {"mse": np.array([0.1, 0.2])}}

    monkeypatch.setattr(classical_choice, "measure_classical", measure)
    noise = parse_degradation("noise0.1")
    first = cached_classical_measures(pixels(4, 0), pixels(5, 1), noise, tmp_path, "data")
    again = cached_classical_measures(pixels(4, 0), pixels(5, 1), noise, tmp_path, "data")
    assert calls == ["noise0.1"]
    assert first.keys() == again.keys() == {"total variation, weight 0.08"}
    np.testing.assert_array_equal(again["total variation, weight 0.08"]["mse"], [0.1, 0.2])
    cached_classical_measures(pixels(4, 0), pixels(6, 1), noise, tmp_path, "data")
    cached_classical_measures(
        pixels(4, 0), pixels(5, 1), parse_degradation("noise0.2"), tmp_path, "data"
    )
    assert calls == ["noise0.1", "noise0.1", "noise0.2"]

    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:50])
    cached_classical_measures(pixels(4, 0), pixels(5, 1), noise, tmp_path, "data")
    assert len(calls) == 4
    assert (
        cached_classical_measures(
            pixels(4, 0), pixels(5, 1), parse_degradation("gray"), tmp_path, "data"
        )
        == {}
    )


@pytest.mark.cifar10
@pytest.mark.slow
def test_on_cifar10_denoising_is_as_measured_elsewhere(cifar10_path: Path) -> None:
    images = load_images(cifar10_path)
    split = split_images(images)
    validation, test = (
        Pixels.of(images.images, rows, device=CPU) for rows in (split.validation, split.test)
    )
    degradation = parse_degradation("noise0.1")
    measures = measure_classical(validation, test, degradation)
    given = measure_restored(
        lambda noisy: noisy.clamp(0, 1), classical_choice.some(test, 500), degradation
    )
    reached = {name.split(",")[0]: float(each["psnr"].mean()) for name, each in measures.items()}
    assert given["psnr"].mean() == pytest.approx(20.3, abs=0.1)
    assert reached["total variation"] == pytest.approx(25.1, abs=0.3)
    assert reached["non-local means"] == pytest.approx(25.9, abs=0.4)
    assert reached["wavelets"] > reached["non-local means"]
