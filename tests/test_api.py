"""The functions that ``import caelab`` offers, as a user calls them."""

import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import caelab
from caelab.api.data import Data
from caelab.api.display import Picture, Table
from caelab.api.run import Run
from caelab.api.study import Study

ROOT = Path(__file__).parents[1]
SMALL, SMALLER = "conv4 pool conv2 | up conv3", "conv4 pool conv1 | up conv3"


@pytest.fixture(scope="module")
def data(pictures: Path) -> Data:
    return caelab.load_data(pictures, size=16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(data: Data, folder: Path) -> Run:
    return caelab.train(SMALL, data, runs=folder, epochs=3, batch_size=16)


@pytest.fixture(scope="module")
def colorizer(data: Data, folder: Path) -> Run:
    return caelab.train(
        SMALL, data, runs=folder, epochs=2, batch_size=16, degradation="gray", target="chroma"
    )


@pytest.fixture(scope="module")
def study(data: Data, folder: Path) -> Study:
    return caelab.study(
        {"longer": {"epochs": 3}},
        data,
        base=SMALL,
        factors={"kernel": [1], "code": {"half": SMALLER}},
        seeds=2,
        runs=folder,
        epochs=2,
        batch_size=16,
    )


def test_epochs_are_handed_on_and_a_run_continues(data: Data, run: Run, folder: Path) -> None:
    seen: list[float] = []
    longer = caelab.train(
        data=data,
        runs=folder,
        start_run=run.path,
        epochs=5,
        on_epoch=lambda row: seen.append(row["epoch"]),
    )
    assert seen == [4, 5]
    assert (
        longer.errors.column("validation_mse")[:3].tolist()
        == run.errors.column("validation_mse").tolist()
    )
    assert longer.network.text == SMALL


def test_data_are_split_and_normalized(data: Data) -> None:
    parts = (data.train, data.validation, data.test)
    assert [part.shape for part in parts] == [(96, 3, 16, 16), (12, 3, 16, 16), (12, 3, 16, 16)]
    assert [row["images"] for row in data.parts] == [96, 12, 12]
    labels = data.labels("test")
    assert labels is not None
    assert np.bincount(labels).tolist() == [6, 6]
    normalized = data.normalize(data.train)
    assert normalized.dtype == np.float32
    np.testing.assert_allclose(normalized.mean((0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(normalized.std((0, 2, 3)), 1, atol=1e-4)
    exact = (data.train / 255).mean((0, 2, 3))
    np.testing.assert_allclose(data.channels.column("mean"), exact, rtol=1e-12)


def test_a_constant_channel_is_normalized_to_zero() -> None:
    images = np.full((40, 3, 8, 8), 7, np.uint8)
    assert not caelab.load_data(images).normalize(images).any()


def test_an_array_is_trained_on_and_shown_without_a_path(folder: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 8), np.uint8)
    found = caelab.train(SMALL, caelab.load_data(images), runs=folder, epochs=1, batch_size=8)
    assert found.samples(2).data.startswith(b"\x89PNG")
    # Without the array nobody knows the images.
    with pytest.raises(caelab.InputError, match="array"):
        Run(found.path).samples(2)


def test_a_description_shows_its_drawing_its_layers_and_its_code() -> None:
    found = caelab.describe("reference")
    html = found._repr_html_()
    assert html.count("<tr>") == len(found.rows) + 1
    assert "data:image/svg+xml;base64," in html
    for number in ("1,024", "768", "4,911"):
        assert number in html
    assert repr(found) == found.as_table()
    assert caelab.describe(found.network).rows == found.rows


def test_describing_needs_no_torch() -> None:
    code = (
        "import sys, caelab; caelab.describe('reference')\n"
        "assert not {'torch', 'matplotlib'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_run_holds_what_its_directory_says(run: Run, data: Data) -> None:
    assert run.errors.column("epoch").tolist() == [1, 2, 3]
    assert run.errors.column("validation_mse").min() == pytest.approx(
        run.finished.result["validation_mse"], rel=1e-6
    )
    restored = run.model.restore(data.test)
    errors = ((restored - data.test / 255) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(run.per_image["mse"], errors, rtol=1e-4)
    assert run.test["mse"] == pytest.approx(errors.mean(), rel=1e-4)
    assert run.results[0] == {
        "method": "network",
        "MSE": run.test["mse"],
        "PSNR, dB": run.test["psnr"],
    }
    assert sum(each.size for each in run.weights.values()) >= run.network.weights
    assert b"<svg" in run.plot().data
    again = Run(run.path)
    assert again.test == run.test
    assert again.samples(3).data == run.samples(3).data


def test_a_notebook_shows_a_run(run: Run) -> None:
    html = run._repr_html_()
    assert "<table>" in html
    assert b64encode(run.plot().data).decode() in html


def test_a_finished_run_is_not_trained_again(run: Run, data: Data) -> None:
    before = run.finished.directory.weights.stat().st_mtime_ns
    config = run.config
    again = caelab.train(
        SMALL, data, runs=run.path.parent, epochs=config.epochs, batch_size=config.batch_size
    )
    assert (again.path, again.finished.directory.weights.stat().st_mtime_ns) == (run.path, before)


def test_a_source_and_loaded_data_give_the_same_run(run: Run, pictures: Path) -> None:
    again = caelab.train(SMALL, pictures, runs=run.path.parent, epochs=3, batch_size=16, size=16)
    assert again.path == run.path


def test_shortcomings_are_measured_of_colorizers(colorizer: Run, run: Run) -> None:
    found = colorizer.shortcomings()
    assert found.values.images == len(colorizer.per_image["mse"])
    assert "|" in found._repr_markdown_()
    assert {"chroma MSE", "ΔE₀₀"} <= colorizer.results[0].keys()
    with pytest.raises(caelab.InputError, match="`degradation`"):
        run.shortcomings()


def test_a_study_compares_networks_with_its_base(study: Study, data: Data) -> None:
    assert study.results.column("network").tolist() == ["base", "kernel 1", "code half", "longer"]
    assert study.results.column("seeds").tolist() == [2, 2, 2, 2]
    assert {row["network"] for row in study.effects} == {"kernel 1", "code half"}
    best = min(study.results, key=lambda row: row["test MSE"])
    assert study.best.network.text in study.results.column("text")
    assert study.runs["longer"].config.epochs == 3
    assert study.runs["base"].config.seed == 0
    mean = np.mean([row.test_mse for row in study.finished.rows if row.label == best["network"]])
    assert best["test MSE"] == pytest.approx(mean)
    for what in ("effects", "code size", "weights"):
        assert b"<svg" in study.plot(what).data  # type: ignore[arg-type]
    assert study.samples(3).data.startswith(b"\x89PNG")
    assert "<table>" in study._repr_html_()


def test_networks_are_added_to_a_study(study: Study, data: Data) -> None:
    lines: list[str] = []
    larger = caelab.study(
        {"more channels": "conv8 pool conv2 | up conv3"},
        data,
        base=SMALL,
        runs=study.path.parent,
        epochs=2,
        batch_size=16,
        progress=lines.append,
    )
    assert larger.path == study.path
    assert larger.results.column("network").tolist() == ["base", "more channels"]
    # The base's run is there from before: one run was trained, and one line was said.
    assert len(lines) == 1


def test_a_study_is_read_from_a_file(data: Data, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(
        f'[study]\nname = "mine"\nseeds = [0, 1]\n[base]\nnetwork = "{SMALL}"\n'
        f'data.normalize = "none"\n[networks]\nsmaller = "{SMALLER}"\n'
    )
    found = caelab.study(file, data, seeds=[1], runs=folder, epochs=1, batch_size=16)
    assert [(row.label, row.seed) for row in found.finished.rows] == [("base", 1), ("smaller", 1)]
    assert found.runs["base"].config.data.normalize == "none"
    assert found.path.name.startswith("study-mine")


def test_a_study_whose_runs_all_fail_says_why(
    data: Data, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise caelab.InputError("this machine is tired")

    monkeypatch.setattr("caelab.experiments.run.run", fail)
    with pytest.raises(caelab.InputError, match="tired"):
        caelab.study({"b": SMALLER}, data, base=SMALL, runs=folder, name="failing", batch_size=8)


def test_runs_are_compared_image_by_image(study: Study) -> None:
    compared = caelab.compare(study.runs["base"], half=study.runs["code half"].path)
    base = study.runs["base"]
    assert [row["run"] for row in compared.means] == [base.path.name, "half"]
    (pair,) = compared.pairs
    difference = base.test["mse"] - study.runs["code half"].test["mse"]
    assert pair["estimate"] == pytest.approx(difference)
    assert pair["low"] <= pair["estimate"] <= pair["high"]
    assert compared.plot().format == "png"
    assert compared.samples(2).data.startswith(b"\x89PNG")
    assert compared._repr_html_().count("<table>") == 2


WRONG: dict[str, Callable[[Data, Path], Any]] = {
    "source": lambda data, folder: caelab.load_data(5),  # type: ignore[arg-type]
    "split": lambda data, folder: caelab.load_data("photos", split="half"),  # type: ignore[arg-type]
    "size, of data": lambda data, folder: caelab.load_data("photos", size=0),
    "sizes": lambda data, folder: caelab.load_data("photos", sizes=32),  # type: ignore[call-arg]
    "network": lambda data, folder: caelab.describe(8),  # type: ignore[arg-type]
    "size": lambda data, folder: caelab.describe("reference", size=0),
    "channels": lambda data, folder: caelab.describe("reference", channels="RGB"),  # type: ignore[arg-type]
    "epochs": lambda data, folder: caelab.train(SMALL, data, runs=folder, epochs=0),
    "optimizer.learning_rate": lambda data, folder: caelab.train(
        SMALL, data, runs=folder, learning_rate="high"
    ),
    "runs": lambda data, folder: caelab.train(SMALL, data, runs=3),  # type: ignore[arg-type]
    "seeds": lambda data, folder: caelab.study({"b": SMALLER}, data, runs=folder, seeds=-1),
    "workers": lambda data, folder: caelab.study({"b": SMALLER}, data, runs=folder, workers=0),
    "count": lambda data, folder: caelab.train(
        SMALL, data, runs=folder, epochs=1, batch_size=16
    ).samples(0),
    "what": lambda data, folder: Study.plot(None, "cost"),  # type: ignore[arg-type]
    "file": lambda data, folder: data.show().save(folder / "images.gif"),
    "networks": lambda data, folder: caelab.study(5),  # type: ignore[arg-type]
    "metric": lambda data, folder: caelab.compare(folder / "a", folder / "b", metric=4),  # type: ignore[arg-type]
    "runs, again": lambda data, folder: caelab.compare(5, 6),  # type: ignore[arg-type]
    "name": lambda data, folder: data.parts.column("color"),
}


@pytest.mark.parametrize("parameter", WRONG)
def test_a_wrong_argument_is_named(parameter: str, data: Data, folder: Path) -> None:
    with pytest.raises(caelab.InputError, match=f"`{parameter.split(',')[0]}`"):
        WRONG[parameter](data, folder)


@pytest.mark.parametrize("images", [np.zeros((40, 64)), np.full((40, 8, 8), -1.0), [0, 1]])
def test_an_array_of_another_form_is_refused(images: Any) -> None:
    with pytest.raises(caelab.InputError, match="images"):
        caelab.load_data(images)


def test_gray_images_that_are_no_squares_are_trained_on_from_memory(folder: Path) -> None:
    images = np.random.default_rng(0).random((40, 8, 12))
    found = caelab.train(SMALL, (images, np.arange(40) % 2), runs=folder, epochs=1, batch_size=8)
    assert found.config.data.shape == (1, 8, 12)
    assert found.network.text.endswith("conv1")
    assert found.model.encode(images[:2, None]).shape == (2, 2, 4, 6)
    data = caelab.load_data(images)
    assert data.channels[0]["channel"] == "gray"
    assert data.train.shape == (32, 1, 8, 12)
    with pytest.raises(caelab.InputError, match="`channels`"):
        caelab.train(SMALL, data, runs=folder, channels=3)


def test_a_size_that_the_loaded_images_do_not_have_is_refused(data: Data, folder: Path) -> None:
    with pytest.raises(caelab.InputError, match="`size`"):
        caelab.train(SMALL, data, runs=folder, size=32)


def test_a_mistyped_parameter_is_answered_with_the_right_one(data: Data, folder: Path) -> None:
    with pytest.raises(caelab.InputError, match="epochs"):
        caelab.train(SMALL, data, runs=folder, epoch=1)


def test_a_table_is_text_and_html() -> None:
    table = Table([{"a <b>": None, "n": 1234, "x": 0.5}, {"a <b>": "<i>", "n": 5, "x": 2.0}])
    assert [line.split() for line in repr(table).splitlines()][1] == ["–", "1,234", "0.5000"]
    html = table._repr_html_()
    assert "&lt;i&gt;" in html
    assert "<i>" not in html
    assert repr(Table()) == ""


def test_a_picture_is_saved(tmp_path: Path) -> None:
    picture = Picture(b"data", "png", "a <picture>")
    picture.save(tmp_path / "new" / "a.png")
    assert (tmp_path / "new" / "a.png").read_bytes() == b"data"
    assert "a &lt;picture&gt;" in picture._repr_html_()


OUTSIDE = """
from pathlib import Path

import caelab

data = caelab.load_data(Path("pictures"), size=16, split="pooled")
run: caelab.Run = caelab.train("reference", data, runs="runs", epochs=2)
best: caelab.Run = caelab.study({"small": "conv8 | conv3"}, data, seeds=[0, 1]).best
weights: float = run.weights["encoder.0.weight"].sum() + run.test["mse"]
code: int | None = caelab.describe("reference", size=(32, 32)).code_size
shown: bytes = caelab.compare(run, best=best).plot().data
restored = caelab.load("reference").restore(data.test)
"""


@pytest.mark.slow
def test_a_program_outside_is_checked_strictly(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", program]
    command += ["--cache-dir", ROOT / ".mypy_cache"]
    program.write_text(OUTSIDE)
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    program.write_text(OUTSIDE + "caelab.describe(size=4)\ncaelab.nothing\nrun.plot(3)\n")
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.stdout.count("error:") == 3, checked.stdout
