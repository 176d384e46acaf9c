"""Names, folders and files that are models, and those that are none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from caelab.data.device_images import DeviceImages
from caelab.degrade.degradation import parse_degradation
from caelab.errors import InputError
from caelab.experiments.publish import MAX_BYTES
from caelab.metrics.evaluate import measure_restored
from caelab.models.inference import restoring
from caelab.models.weights_file import load_model
from caelab.pictures import model_files
from caelab.pictures.model_files import ShippedModel, find_model, shipped_models
from caelab.pictures.open_model import command_for, open_model


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models that ship: two, of nothing but a card."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    for name in ("colorize", "reference"):
        (folder / f"{name}.safetensors").write_bytes(b"weights")
        (folder / f"{name}.json").write_text(json.dumps({"name": name}))
    monkeypatch.setattr(model_files, "FOLDER", folder)
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_name_goes_before_a_folder(shelf: Path) -> None:
    Path("reference").mkdir()
    assert find_model("reference") == shelf / "reference.safetensors"
    assert list(shipped_models()) == ["colorize", "reference"]
    assert shipped_models()["colorize"].card == {"name": "colorize"}
    with pytest.raises(
        InputError, match=r"\./reference is no finished run: it holds no weights\.safetensors"
    ):
        find_model("./reference")


def test_runs_and_files_are_models(shelf: Path, run: Path) -> None:
    assert find_model(run) == run / "weights.safetensors"
    assert find_model(str(run / "weights.safetensors")) == run / "weights.safetensors"


def test_what_is_none_is_said_with_near_names(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError) as caught:
        find_model("colourise")
    message = str(caught.value)
    assert "there is no model 'colourise'. Did you mean colorize?" in message
    assert "colorize, reference" in message
    monkeypatch.setattr(model_files, "FOLDER", shelf / "empty")
    with pytest.raises(InputError, match="No models ship with this copy"):
        find_model("colorize")


def test_a_damaged_card_is_said(shelf: Path) -> None:
    (shelf / "colorize.json").write_text("{")
    with pytest.raises(InputError, match=r"cannot read .*colorize\.json"):
        shipped_models()


@pytest.mark.parametrize(
    ("degradation", "command"),
    [
        ("none", "reconstruct"),
        ("gray", "colorize"),
        ("gray+noise0.05", "colorize"),
        ("noise0.1", "denoise"),
        ("noise0.1+blur1", "restore"),
        ("jpeg20", "restore"),
    ],
)
def test_every_degradation_has_its_command(degradation: str, command: str) -> None:
    assert command_for(parse_degradation(degradation)) == command


def test_all_that_ships_is_small_and_has_a_card() -> None:
    codes = [f"best-{size}" for size in (64, 128, 256, 512, 768, 1024)]
    assert list(shipped_models()) == [*codes, "colorize", "denoise", "reference"]
    assert sum(file.stat().st_size for file in model_files.FOLDER.iterdir()) <= MAX_BYTES
    for shipped in shipped_models().values():
        _, card = load_model(shipped.weights, torch.device("cpu"))
        assert (shipped.card["network"], shipped.card["target"]) == (card.network, card.target)
        assert shipped.card["limits"]
        assert shipped.card["license"] == "Apache-2.0"


def test_the_colorizer_is_used_for_photographs_as_was_measured() -> None:
    results = Path(__file__).parents[2] / "benchmarks" / "results" / "saturation.json"
    measured = json.loads(results.read_text())
    card = shipped_models()["colorize"].card["photographs"]
    best = measured["confirming"][0]
    assert (card["scales"], card["saturation"]) == (best["scales"], best["saturation"])
    assert card["n"] == measured["n"]["confirming"]
    for name in ("ciede2000", "gray_ciede2000", "mean_ratio", "nearer_than_gray"):
        assert card[name] == pytest.approx(best[name], rel=1e-3)
    assert best["ciede2000"] < best["gray_ciede2000"]
    model = open_model("colorize", device="cpu")
    assert (list(model.scales), model.saturation) == (best["scales"], best["saturation"])
    assert open_model("reference", device="cpu").saturation == 1


def test_names_are_found_without_torch() -> None:
    script = (
        "import sys; from caelab.pictures.open_model import open_model; print('torch' in"
        " sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert answer.stdout.strip() == "False"


@pytest.mark.cifar10
@pytest.mark.parametrize(
    "shipped", [pytest.param(each, id=name) for name, each in shipped_models().items()]
)
def test_the_error_is_what_the_card_says(shipped: ShippedModel, cifar10_path: Path) -> None:
    from caelab.experiments.config import make_config
    from caelab.experiments.setup import load_data

    told = shipped.card["config"]
    if told["data"]["source"] != "cifar10":
        pytest.skip(f"{shipped.name} was trained on {told['data']['source']}")
    images, split = load_data(make_config(told).replace(data=str(cifar10_path)).data)
    device, sample = torch.device("cpu"), shipped.card["sample"]
    test = DeviceImages.of(images.images, split.test[: sample["images"]], device=device)
    model, card = load_model(shipped.weights, device)
    with restoring(model) as restore:
        errors = measure_restored(restore, test, parse_degradation(card.degradation))["mse"]
    assert len(errors) == sample["images"]
    exact = shipped.card["environment"]["precision"] == "float32"
    assert errors.mean() == pytest.approx(sample["mse"], rel=1e-3 if exact else 3e-2)
