"""The Python of the documentation runs; its page on run directories knows every file and key."""

import contextlib
import csv
import json
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import caelab
from caelab.experiments.config import make_config
from caelab.experiments.run import run
from caelab.experiments.study import read_study
from caelab.experiments.study_results import COLUMNS
from caelab.networks import LayerKind, parse
from caelab.networks.build import build
from caelab.pictures.export import export_onnx
from caelab.pictures.model_files import find_model

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[str]:
    """Return the Python of a page, each block at its line, so that an error names the place."""
    text = page.read_text(encoding="utf-8")
    return [
        "\n" * text.count("\n", 0, block.start(1)) + block[1] for block in PYTHON.finditer(text)
    ]


def execute(page: Path, names: dict[str, Any]) -> None:
    """Run the Python of a page, block after block."""
    for block in blocks(page):
        exec(compile(block, page, "exec"), names)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder of the examples, with the files that they name."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (120, 16, 16, 3), np.uint8)
    Image.fromarray(images[0]).resize((32, 32)).save(tmp_path / "holiday.jpg")
    np.savez(tmp_path / "images.npz", images=images)
    shutil.copy(find_model("reference"), tmp_path / "reference.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


RUN = ["how-to/data.md", "how-to/pictures.md", "reference/python.md"]
"""Pages whose Python is run from top to bottom; the others have tests of their own."""


def test_the_python_of_every_page_is_run() -> None:
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md") if blocks(page)}
    assert pages == {*RUN, "how-to/weights.md", "how-to/plugins.md", "how-to/track.md"}


@pytest.mark.parametrize("page", RUN)
def test_the_python_of_a_page_runs(folder: Path, page: str) -> None:
    names: dict[str, Any] = {}
    execute(DOCS / page, names)
    assert names["model"] is not None


def test_an_example_that_fails_names_its_page_and_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Title\n\n```python\nfine = 1\n```\n\n```python\nfine.missing\n```\n", "utf-8"
    )
    with pytest.raises(AttributeError, match="missing") as caught:
        execute(page, {})
    place = caught.traceback[-1]
    assert (place.path, place.lineno + 1) == (page, 8)


def test_the_python_of_the_readme_runs(folder: Path) -> None:
    names: dict[str, Any] = {}
    execute(ROOT / "README.md", names)
    assert names["code"].shape == (8, 16, 16, 16)
    assert names["picture"].size == (32, 32)


def test_the_plain_pytorch_of_the_page_is_the_shipped_model(folder: Path) -> None:
    plain, onnx = blocks(DOCS / "how-to/weights.md")
    names: dict[str, Any] = {}
    exec(plain, names)
    model = caelab.load("reference", device="cpu")
    restored = model.restore(names["images"].numpy())
    np.testing.assert_allclose(names["restored"].numpy(), restored, atol=1e-5)
    pytest.importorskip("onnxruntime")
    export_onnx(model.network, folder / "reference.onnx", card=model.card)
    exec(onnx, names)
    assert names["answer"].shape == (4, 3, 32, 32)


def test_the_plug_in_of_the_page_makes_a_layer(folder: Path) -> None:
    before = dict(LayerKind.registry._kinds)
    try:
        (block,) = blocks(DOCS / "how-to/plugins.md")
        exec(block, {"__name__": "flip"})
        module = build(parse("mirror"), channels=3, size=4, generator=torch.Generator())
        images = torch.rand(2, 3, 4, 4)
        assert module(images).equal(images.flip(-1))
    finally:
        LayerKind.registry._kinds.clear()
        LayerKind.registry._kinds.update(before)


@pytest.mark.parametrize("page", ["how-to/cluster.md", "reference/configuration.md"])
def test_the_studies_of_a_page_can_be_planned(folder: Path, page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    study, *_ = (each for each in re.findall(r"```toml\n(.*?)```", text, re.S) if "[study]" in each)
    (folder / "study.toml").write_text(study, encoding="utf-8")
    assert len(read_study(folder / "study.toml").variants) == len(re.findall('^"', study, re.M)) + 1


def test_the_crossed_study_of_the_page_has_its_combinations(folder: Path) -> None:
    text = (DOCS / "how-to/cluster.md").read_text(encoding="utf-8")
    (study,) = (each for each in re.findall(r"```toml\n(.*?)```", text, re.S) if "cross" in each)
    (folder / "study.toml").write_text(study, encoding="utf-8")
    labels = [each.label for each in read_study(folder / "study.toml").variants]
    assert len(labels) == 1 + 5 + 4
    assert "kernel 5 × channels 2" in labels


def test_the_trackers_of_the_page_get_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    wandb, mlflow = ModuleType("wandb"), ModuleType("mlflow")
    logged: list[object] = []
    vars(wandb).update(init=lambda **_: None, log=logged.append)
    vars(mlflow).update(
        start_run=contextlib.nullcontext, log_metrics=lambda row, step: logged.append((row, step))
    )
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    row = {"epoch": 3.0, "validation_mse": 0.1}
    monkeypatch.setattr(caelab, "train", lambda _, on_epoch: on_epoch(row))
    for block in blocks(DOCS / "how-to/track.md"):
        exec(block, {})
    assert logged == [row, (row, 3)]


def test_the_page_on_run_directories_names_every_file_and_key(
    pictures: Path, tmp_path: Path
) -> None:
    options = {
        "network": "conv2 pool conv2 | up conv3",
        "data": {"source": str(pictures), "size": 16},
        "epochs": 1,
        "batch_size": 8,
    }
    directory = run(make_config(options), runs=tmp_path)
    page = (DOCS / "reference/run-directory.md").read_text(encoding="utf-8")
    # The first cell of every row of a table.
    rows = re.findall(r"^\| (.+?) \|", page, re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert {file.name for file in directory.path.iterdir()} <= documented
    for file in ("config.json", "environment.json", "result.json"):
        assert json.loads((directory.path / file).read_text("utf-8")).keys() <= documented
    with directory.epochs.open(encoding="utf-8") as opened:
        assert set(next(csv.reader(opened))) <= documented
    assert set(COLUMNS) <= documented
