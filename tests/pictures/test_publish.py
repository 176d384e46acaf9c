"""A run becomes a model that ships: whole, with a card from which it can be trained again."""

import json
import shlex
from pathlib import Path

import click
import numpy as np
import pytest
from safetensors.numpy import load_file

from caelab.commands.options import given_options, run_options
from caelab.commands.train import read_options
from caelab.errors import InputError
from caelab.experiments import publish as publishing
from caelab.experiments.config import RunConfig, make_config
from caelab.experiments.publish import publish, train_command
from caelab.experiments.run_directory import read_config
from caelab.pictures import model_files
from caelab.pictures.model_files import find_model, shipped_models


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(model_files, "FOLDER", tmp_path / "shelf")
    return tmp_path / "shelf"


def test_a_run_is_shipped_with_its_card(shelf: Path, run: Path) -> None:
    made = publish(run, "tiny-16", onnx=False)
    stored, trained = load_file(find_model("tiny-16")), load_file(run / "weights.safetensors")
    assert stored.keys() == trained.keys()
    assert all(np.array_equal(stored[name], trained[name].astype(np.float16)) for name in trained)
    assert sorted(file.name for file in shelf.iterdir()) == ["tiny-16.json", "tiny-16.safetensors"]
    card = shipped_models()["tiny-16"].card
    assert card == json.loads(json.dumps(made.card))
    result = json.loads((run / "result.json").read_text())
    assert card["test"] == result["test"]
    assert card["baselines"] == result["baselines"]
    errors = np.load(run / "per_image.npz")["mse"]
    assert card["sample"] == {"images": len(errors), "mse": float(errors.mean())}
    assert "Fine detail is lost: 128 numbers hold an image of 16×16 pixels." in card["limits"]


def test_weights_keep_32_bits_where_16_would_change_an_image(
    shelf: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "MAX_ROUNDING", 0.0)
    publish(run, "tiny-16", onnx=False)
    stored, trained = load_file(find_model("tiny-16")), load_file(run / "weights.safetensors")
    assert all(np.array_equal(stored[name], trained[name]) for name in trained)


def test_a_card_is_a_recipe_and_says_nothing_of_places(
    shelf: Path, run: Path, pictures: Path
) -> None:
    publish(run, "tiny", onnx=False)
    text = (shelf / "tiny.json").read_text()
    assert str(pictures) not in text
    assert str(Path.home()) not in text
    again = make_config(read_options(shelf / "tiny.json"))
    assert again.replace(data="auto") == read_config(run).replace(data="auto")


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {
            "network": "conv8 [pool conv8 | up] conv3:none",
            "degradation": "gray",
            "target": "chroma",
        },
        {
            "tta_flip": True,
            "tta_shift": 2,
            "batchnorm": True,
            "ema_decay": 0.999,
            "learning_rate": 2e-3,
            "normalize": "none",
        },
    ],
)
def test_the_command_is_the_configuration(changed: dict[str, object]) -> None:
    config = RunConfig().replace(**{"data": "cifar10", **changed})  # type: ignore[arg-type]
    words = shlex.split(train_command(config))
    assert words[:2] == ["caelab", "train"]
    told: dict[str, object] = {}

    @click.command()
    @click.argument("network")
    @run_options()
    def read(**options: object) -> None:
        told.update(given_options(options))

    read(words[2:], standalone_mode=False)
    assert make_config(told) == config


def test_what_cannot_be_shipped_is_said_and_leaves_nothing(
    shelf: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="'Best 64' cannot be the name of a model"):
        publish(run, "Best 64")
    (tmp_path / "unfinished").mkdir()
    with pytest.raises(InputError, match="is not a finished run"):
        publish(tmp_path / "unfinished", "tiny")
    monkeypatch.setattr(publishing, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match=r"all models together would take 0\.0 MB"):
        publish(run, "tiny", onnx=False)
    assert not list(shelf.glob("*"))


def test_a_name_is_taken_once(shelf: Path, run: Path) -> None:
    publish(run, "tiny", onnx=False)
    with pytest.raises(InputError, match="a model called tiny ships already; `force` replaces it"):
        publish(run, "tiny", onnx=False)
    publish(run, "tiny", onnx=False, force=True)


def test_onnx_lies_beside(shelf: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from caelab.pictures.open_model import open_model

    made = publish(run, "tiny")
    images = np.random.default_rng(0).random((2, 3, 20, 24), np.float32)
    answers = [
        open_model("tiny", runtime=runtime, threads=1)(images) for runtime in ("torch", "onnx")
    ]  # type: ignore[arg-type]
    np.testing.assert_allclose(*answers, atol=1e-5)
    graph = (shelf / "tiny.onnx").read_bytes()
    assert b"tiny.safetensors" in graph  # which holds the weights
    assert str(Path(publishing.__file__).parents[2]).encode() not in graph
    (shelf.parent / "alone.onnx").write_bytes(graph)
    with pytest.raises(InputError, match=r"alone\.onnx is not an ONNX model, or it is damaged"):
        open_model(shelf.parent / "alone.onnx")
    with pytest.raises(InputError, match="has no ONNX file next to its weights"):
        open_model(run, runtime="onnx")
    with pytest.raises(InputError, match="is an ONNX file, which PyTorch does not run"):
        open_model(shelf / "tiny.onnx", runtime="torch")

    before = {file.name: file.read_bytes() for file in shelf.iterdir()}
    monkeypatch.setattr(
        publishing, "MAX_BYTES", made.weights.stat().st_size + 1000
    )  # room for the weights alone
    with pytest.raises(InputError, match="Leave out its ONNX file"):
        publish(run, "tiny", force=True)
    assert {file.name: file.read_bytes() for file in shelf.iterdir()} == before
    publish(run, "tiny", force=True, onnx=False)
    assert not (shelf / "tiny.onnx").exists()
