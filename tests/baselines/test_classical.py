from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from skimage.restoration import richardson_lucy
from torch import Tensor

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
from caelab.degrade.apply import degrade
from caelab.degrade.degradation import parse_degradation
from caelab.degrade.kinds import blur
from caelab.metrics.evaluate import measure_restored
from caelab.metrics.image_metrics import METRICS
from caelab.randomness import image_keys

psnr = METRICS["psnr"].function


def photographs() -> Tensor:
    """Return four crops of a photograph, 24×20 pixels of it averaged four by four."""
    picture = torch.from_numpy(data.astronaut()).permute(2, 0, 1).float().div_(255)
    small = torch.nn.functional.avg_pool2d(picture[None], 4)[0]
    return torch.stack([small[:, row : row + 24, 40:60] for row in (0, 24, 48, 72)])


def given(word: str, target: Tensor) -> Tensor:
    return degrade(target, parse_degradation(word), image_keys(np.arange(len(target)), 0))


WORDS = (
    "noise0.1",
    "blur1.5",
    "blur1.5+noise0.01",
    "mask0.25",
    "downscale2",
    "downscale3",
    "jpeg20",
)


@pytest.mark.parametrize("word", WORDS)
def test_every_method_gives_better_images_than_it_was_given(word: str) -> None:
    target = photographs()
    degraded = given(word, target)
    before = psnr(degraded.clamp(0, 1), target).mean()
    methods = classical_methods(parse_degradation(word))
    assert methods
    for name, method in methods.items():
        restored = [method.restore(value)(degraded) for value in method.grid]
        assert all(
            image.shape == target.shape and image.dtype == target.dtype for image in restored
        )
        assert all(image.min() >= 0 and image.max() <= 1 for image in restored)
        assert max(psnr(image, target).mean() for image in restored) > before, name


@pytest.mark.parametrize(
    "word", ["none", "gray", "gray+noise0.1", "noise0.1+blur1", "mask0.25+jpeg20"]
)
def test_there_are_none_for_color_and_for_other_combinations(word: str) -> None:
    assert classical_methods(parse_degradation(word)) == {}


@pytest.mark.parametrize("word", WORDS)
def test_an_image_of_one_value_and_one_of_few_pixels_are_no_trouble(word: str) -> None:
    shapes = [(3, 12, 12), (3, 6, 7), (1, 12, 12)]
    # A JPEG has one channel, or three.
    shapes += [] if "jpeg" in word else [(2, 6, 7), (5, 6, 7)]
    for shape in shapes:
        flat = torch.full((1, *shape), 0.5 if shape[1] == 12 else 1.0)
        for method in classical_methods(parse_degradation(word)).values():
            restored = method.restore(method.grid[-1])(given(word, flat))
            assert torch.isfinite(restored).all()
            assert (restored - flat).abs().mean() < 0.1


def test_without_noise_the_wiener_filter_undoes_a_blur_up_to_the_border() -> None:
    target = photographs().double()
    restored = classical_methods(parse_degradation("blur0.8"))["Wiener"].restore(1e-12)(
        blur(target, 0.8)
    )
    torch.testing.assert_close(restored, target, atol=1e-4, rtol=0)


def test_richardson_lucy_is_scikit_images_far_from_the_border() -> None:
    target = photographs().double()
    target = torch.cat([target, target.flip(2)], dim=2)
    blurred = blur(target, 1.0)
    point = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    point[..., 4, 4] = 1
    kernel = blur(point, 1.0)[0, 0].numpy()
    ours = classical_methods(parse_degradation("blur1"))["Richardson–Lucy"].restore(3)(blurred)
    theirs = richardson_lucy(np.pad(blurred[0, 0].numpy(), 30, mode="symmetric"), kernel, 3)[
        30:-30, 30:-30
    ]
    np.testing.assert_allclose(ours[0, 0].numpy(), theirs, atol=2e-3)


def test_inpainting_keeps_what_is_there_and_copes_where_nothing_is() -> None:
    target = photographs()
    degraded = given("mask0.25", target)
    there = degraded >= 0
    restored = classical_methods(parse_degradation("mask0.25"))["biharmonic inpainting"].restore(0)(
        degraded
    )
    torch.testing.assert_close(restored[there], target[there])
    nothing = torch.full((1, 3, 4, 4), -0.5)
    restored = classical_methods(parse_degradation("mask0.99"))["biharmonic inpainting"].restore(0)(
        nothing
    )
    assert (restored == 0.5).all()


def test_back_projection_agrees_with_what_was_given() -> None:
    degraded = given("downscale2", photographs())
    method = classical_methods(parse_degradation("downscale2"))["back-projection"]
    far, near = (
        given("downscale2", method.restore(count)(degraded)) - degraded for count in (0, 32)
    )
    assert near.abs().mean() < far.abs().mean() / 10


def test_a_ramp_survives_lanczos() -> None:
    ramp = torch.linspace(0.2, 0.8, 24).view(1, 1, 1, -1).expand(1, 3, 24, 24).contiguous()
    restored = classical_methods(parse_degradation("downscale2"))["Lanczos"].restore(0)(
        given("downscale2", ramp)
    )
    torch.testing.assert_close(restored[..., 6:-6], ramp[..., 6:-6], atol=2e-3, rtol=0)


# The choice of a parameter, and the cache


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
