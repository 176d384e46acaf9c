from pathlib import Path

import numpy as np
import pytest
import torch

from caelab.baselines import classical
from caelab.baselines.classical import (
    ClassicalMethod,
    choose_parameter,
    classical_methods,
    measure_classical,
    measured_positions,
)
from caelab.data.device_images import DeviceImages
from caelab.data.load import load_images
from caelab.data.split import split_images
from caelab.degrade.degradation import parse_degradation
from caelab.metrics.evaluate import measure_restored

CPU = torch.device("cpu")


def pixels(count: int, seed: int) -> DeviceImages:
    rng = np.random.default_rng(seed)
    low = rng.integers(40, 216, (count, 3, 2, 2), dtype=np.uint8)
    return DeviceImages.of(low.repeat(6, 2).repeat(6, 3), np.arange(count), device=CPU)


def positions(count: int, most: int, side: int) -> np.ndarray:
    flat = torch.zeros(count, 0, dtype=torch.uint8)
    return measured_positions(DeviceImages(flat, np.arange(count), (3, side, side)), most)


def test_images_are_spread_over_the_part_and_fewer_where_they_are_large() -> None:
    np.testing.assert_array_equal(positions(5, 500, 32), np.arange(5))
    np.testing.assert_array_equal(positions(9, 5, 32), [0, 2, 4, 6, 8])
    assert len(positions(6000, 500, 64)) == 125
    assert len(positions(6000, 500, 1024)) == 8
    assert len(np.unique(positions(6000, 500, 32))) == 500
    assert len(positions(6000, 4, 32)) == 4


def test_the_parameter_is_the_best_of_the_grid() -> None:
    truth = pixels(6, 0).batch(slice(None))
    method = ClassicalMethod(
        function=lambda _, value: truth + (value - 3) * 0.01,
        parameter="value",
        grid=(1, 2, 3, 5),
    )
    assert choose_parameter(method, pixels(6, 0), parse_degradation("noise0.1")) == 3
    assert method.label("method", 3) == "method, value 3"
    assert ClassicalMethod(function=method.function).label("method", 0) == "method"


def test_what_is_measured_is_the_chosen_method_on_the_images() -> None:
    degradation = parse_degradation("downscale2")
    measures = measure_classical(pixels(20, 1), pixels(30, 2), degradation)
    assert next(iter(measures)) == "Lanczos"
    lanczos = classical_methods(degradation)["Lanczos"]
    expected = measure_restored(lanczos.restore(0), pixels(30, 2), degradation)
    for name, values in expected.items():
        np.testing.assert_allclose(measures["Lanczos"][name], values, rtol=1e-5)


def test_what_is_kept_is_used_unless_images_or_degradation_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def measure(
        restore: object, measured: DeviceImages, degradation: object
    ) -> dict[str, np.ndarray]:
        calls.append(f"{degradation} {len(measured)}")
        return {"mse": np.array([0.1, 0.2]), "psnr": np.array([10.0, 7.0])}

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(classical, "measure_restored", measure)
    other, inpaint = parse_degradation("mask0.5"), parse_degradation("mask0.25")
    first = measure_classical(pixels(4, 0), pixels(5, 1), inpaint)
    again = measure_classical(pixels(4, 0), pixels(5, 1), inpaint)
    assert calls == ["mask0.25 5"]
    assert first.keys() == again.keys() == {"biharmonic inpainting"}
    np.testing.assert_array_equal(again["biharmonic inpainting"]["mse"], [0.1, 0.2])
    measure_classical(pixels(4, 0), pixels(6, 1), inpaint)
    measure_classical(pixels(4, 0), pixels(5, 1), other)
    measure_classical(pixels(4, 0), pixels(5, 2), inpaint)
    assert calls[1:] == ["mask0.25 6", "mask0.5 5", "mask0.25 5"]

    for file in (tmp_path / "caelab").iterdir():
        file.write_bytes(file.read_bytes()[:50])
    measure_classical(pixels(4, 0), pixels(5, 1), inpaint)
    assert len(calls) == 5
    assert measure_classical(pixels(4, 0), pixels(5, 1), parse_degradation("gray")) == {}


@pytest.mark.cifar10
@pytest.mark.slow
def test_on_cifar10_denoising_is_as_measured_elsewhere(cifar10_path: Path) -> None:
    images = load_images(cifar10_path)
    split = split_images(images)
    validation, test = (
        DeviceImages.of(images.images, rows, device=CPU) for rows in (split.validation, split.test)
    )
    degradation = parse_degradation("noise0.1")
    measures = measure_classical(validation, test, degradation)
    given = measure_restored(
        lambda noisy: noisy.clamp(0, 1), test.at(measured_positions(test)), degradation
    )
    reached = {name.split(",")[0]: float(each["psnr"].mean()) for name, each in measures.items()}
    assert given["psnr"].mean() == pytest.approx(20.3, abs=0.1)
    assert reached["total variation"] == pytest.approx(25.1, abs=0.3)
    assert reached["non-local means"] == pytest.approx(25.9, abs=0.4)
    assert reached["wavelets"] > reached["non-local means"]
