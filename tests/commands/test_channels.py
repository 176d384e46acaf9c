"""Gray images, images of many channels, and images that are no squares go the whole way."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from caelab.cli import caelab
from caelab.errors import InputError
from caelab.models.weights_file import load_model
from caelab.pictures.load import load

HEIGHT, WIDTH = 12, 16
NETWORK = "conv4 pool conv1 | up conv3"


def call(*words: object) -> Result:
    return CliRunner().invoke(caelab, list(map(str, words)))


def done(*words: object) -> dict[str, Any]:
    answer = call(*words, "--json")
    assert answer.exit_code == 0, (answer.output, answer.exception)
    return dict(json.loads(answer.stdout))


def ramps(count: int, channels: int) -> np.ndarray:
    """Gradients ``uint8 (N, C, H, W)``, which a small network learns."""
    corner, slope = np.random.default_rng(channels).random((2, count, channels, 1, 1))
    columns = corner + (slope - corner) * np.linspace(0, 1, WIDTH)
    return np.broadcast_to(columns * 255, (count, channels, HEIGHT, WIDTH)).astype(np.uint8)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like MNIST's as PNGs: gray, with classes, and a test set."""
    home = tmp_path_factory.mktemp("digits")
    for index, (image,) in enumerate(ramps(70, 1)):
        folder = home / ("test" if index >= 60 else "train") / str(index % 2)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{index}.png")
    return home


@pytest.fixture(scope="module")
def usual(digits: Path) -> list[object]:
    return ["--data", digits, "--size", f"{HEIGHT}x{WIDTH}", "--channels", 1, "--epochs", 2]


@pytest.fixture(scope="module")
def trained(usual: list[object], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A reconstruction and a restoration."""
    home = tmp_path_factory.mktemp("gray")
    for name, more in (
        ("reconstruct", ["--batch-size", 16]),
        ("upscale", ["--degradation", "downscale2", "--flip", "--rotate", 9]),
    ):
        done("train", NETWORK, *usual, *more, "--out", home / name)
    return {path.name: path for path in home.iterdir()}


def test_a_run_on_gray_images(trained: dict[str, Path]) -> None:
    config = json.loads((trained["reconstruct"] / "config.json").read_text())["config"]
    assert config["data"]["size"] == f"{HEIGHT}x{WIDTH}"
    result = json.loads((trained["reconstruct"] / "result.json").read_text())
    assert result["network"] == "conv4 pool conv1 | up conv1"
    # The test set of its own is kept apart, and a tenth of the rest chooses.
    assert result["images"] == {"train": 54, "validation": 6, "test": 10}
    assert len(result["normalization"]["mean"]) == 1
    assert {"pca-48"} <= result["baselines"].keys()
    samples = Image.open(trained["reconstruct"] / "samples.png").convert("RGB")
    red, green, blue = np.asarray(samples).transpose(2, 0, 1)
    assert np.array_equal(red, green)
    assert np.array_equal(green, blue)


def test_what_measures_no_color_is_measured(trained: dict[str, Path]) -> None:
    result = json.loads((trained["upscale"] / "result.json").read_text())
    assert {"mse", "psnr", "ssim", "mae"} <= result["test"].keys()
    assert not {"ciede2000", "colorfulness"} & result["test"].keys()
    assert any(name.startswith("back-projection") for name in result["baselines"])


@pytest.mark.parametrize("name", ["reconstruct", "upscale"])
def test_a_run_is_evaluated_as_it_was_measured(name: str, trained: dict[str, Path]) -> None:
    result = json.loads((trained[name] / "result.json").read_text())
    again = done("evaluate", trained[name])
    assert again["errors"]["mse"] == pytest.approx(result["test"]["mse"], rel=1e-5)


def test_a_gray_model_measures_color_images_in_gray(
    trained: dict[str, Path], digits: Path, tmp_path: Path
) -> None:
    for file in (digits / "test").rglob("*.png"):
        Image.open(file).convert("RGB").save(tmp_path / file.name)
    weights = trained["reconstruct"] / "weights.safetensors"
    usual = ["--size", f"{HEIGHT}x{WIDTH}", "--part", "all"]
    gray, color = (
        done("evaluate", weights, "--data", data, *usual) for data in (digits / "test", tmp_path)
    )
    assert color["errors"]["mse"] == pytest.approx(gray["errors"]["mse"], rel=1e-6)


def test_a_study_of_gray_images_and_its_report(usual: list[object], tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(f'[base]\nnetwork = "{NETWORK}"\n[factors]\nkernel = [1]\n')
    where = ["--runs", tmp_path / "runs", "--report", "--engine", "serial"]
    answer = call("study", file, *usual, "--batch-size", 16, *where)
    assert answer.exit_code == 0, (answer.output, answer.exception)
    (report,) = tmp_path.rglob("report.html")
    assert report.stat().st_size > 10_000
    found = json.loads((report.parent / "results.json").read_text())["answers"]["data"]
    assert (found["channels"], found["side"], found["split"]) == (1, "12x16", "official")


def test_models_of_gray_images_take_pictures(trained: dict[str, Path]) -> None:
    model = load(trained["upscale"])
    color = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    restored = model.restore(color)
    assert restored.shape == color.shape
    # Each channel is an image of its own.
    np.testing.assert_array_equal(restored[..., 1], model.restore(color[..., 1]))


def test_any_number_of_channels(tmp_path: Path) -> None:
    channels = 2
    np.savez(tmp_path / "many.npz", images=ramps(60, channels))
    data = ["--data", tmp_path / "many.npz", "--size", f"{HEIGHT}x{WIDTH}"]
    wrong = call("train", NETWORK, *data, "--epochs", 1, "--out", tmp_path / "wrong")
    assert isinstance(wrong.exception, InputError)
    assert f"`data.size` 12x16 and `data.channels` {channels}" in str(wrong.exception)
    usual = [*data, "--channels", channels, "--batch-size", 16, "--epochs", 25]
    reconstruction = done("train", NETWORK, *usual, "--out", tmp_path / "run")
    assert reconstruction["network"].endswith(f"conv{channels}")
    # A constant image per channel would have the variance as its error.
    assert reconstruction["test"]["mse"] < ramps(60, channels).var() / 255**2
    answer = call("report", tmp_path / "run", "--out", tmp_path / "report")
    assert answer.exit_code == 0, (answer.output, answer.exception)
    _, card = load_model(tmp_path / "run" / "weights.safetensors", torch.device("cpu"))
    assert (card.channels, card.sides) == (channels, (HEIGHT, WIDTH))
    model = load(tmp_path / "run")
    assert model.encode(ramps(3, channels)).shape == (3, 1, HEIGHT // 2, WIDTH // 2)
    assert model.restore(ramps(3, channels)).shape == (3, channels, HEIGHT, WIDTH)
    for images in (ramps(3, 1), np.zeros((HEIGHT, WIDTH, 3), np.uint8)):
        with pytest.raises(InputError, match=f"{channels}"):
            model.restore(images)
    refused = call("train", NETWORK, *usual, "--degradation", "jpeg50", "--out", tmp_path / "jpeg")
    assert isinstance(refused.exception, InputError)
    assert "takes images of 1 or 3 channels" in str(refused.exception)


REFUSED: dict[str, Callable[[], list[object]]] = {
    "takes images of 3 channels": lambda: ["--degradation", "gray"],
    "`target.kind` needs color images": lambda: ["--target", "bins", "--loss", "cross_entropy"],
    "`loss.color_loss_weight` needs color images": lambda: ["--color-loss-weight", 0.1],
    "`augmentation.translate` 12": lambda: ["--translate", 12],
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_has_no_meaning_for_gray_images_is_refused(
    message: str, usual: list[object], tmp_path: Path
) -> None:
    answer = call("train", NETWORK, *usual, *REFUSED[message](), "--out", tmp_path / "run")
    assert isinstance(answer.exception, InputError)
    assert message in str(answer.exception)
    assert "\n" not in str(answer.exception)
    assert not (tmp_path / "run").exists()
