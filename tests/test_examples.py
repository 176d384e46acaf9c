"""The examples of plug-ins, used as their readers would use them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def caelab(plugin: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "caelab", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CAELAB_PLUGINS": str(plugin)},
    )


def test_a_layer_of_one_s_own_is_described_trained_and_exported(
    pictures: Path, tmp_path: Path
) -> None:
    plugin = EXAMPLES / "blurpool.py"
    network = "conv4 blurpool conv4 | up conv3"
    described = caelab(plugin, "describe", network, "--size", "16", "--json")
    assert described.returncode == 0, described.stderr
    row = json.loads(described.stdout)["rows"][1]
    assert row["kind"] == "blurpool"
    assert row["shape"] == [4, 8, 8]
    assert row["receptive_field"] == 5

    study = tmp_path / "blur.toml"
    study.write_text(
        f"""
        [base]
        network = "{network}"
        data.source = "{pictures}"
        data.size = 16
        batch_size = 16
        epochs = 1
        [factors]
        kernel = [1]
        """
    )
    trained = caelab(
        plugin, "study", str(study), "--runs", str(tmp_path / "runs"), "--threads", "1", "--json"
    )
    assert trained.returncode == 0, trained.stderr
    weights = [*(tmp_path / "runs").rglob("weights.safetensors")]
    assert len(weights) == 2

    pytest.importorskip("onnxscript")
    exported = caelab(plugin, "export", str(weights[0].parent), str(tmp_path / "m.onnx"))
    assert exported.returncode == 0, exported.stderr
    assert (tmp_path / "m.onnx").stat().st_size > 1000


def test_a_degradation_and_a_loss_of_one_s_own_are_trained_by_option_and_recipe(
    pictures: Path, tmp_path: Path
) -> None:
    plugins = Path(
        os.pathsep.join(str(EXAMPLES / name) for name in ("saltpepper.py", "edge_loss.py"))
    )
    recipe = tmp_path / "run.toml"
    recipe.write_text(
        f"""
        network = "conv4 conv3"
        degradation = "gray+saltpepper.20"
        data.source = "{pictures}"
        data.size = 16
        batch_size = 16
        epochs = 1
        """
    )
    out = tmp_path / "run"
    trained = caelab(
        plugins, "train", "--config", str(recipe), "--loss", "edges", "--out", str(out)
    )
    assert trained.returncode == 0, trained.stderr
    config = json.loads((out / "config.json").read_text())["config"]
    assert config["degradation"] == "gray+saltpepper0.2"
    assert config["loss"]["kind"] == "edges"
    assert "train_edges" in (out / "epochs.csv").read_text()

    study = tmp_path / "two.toml"
    study.write_text(
        recipe.read_text().replace("network =", "[base]\nnetwork =")
        + '[factors]\ndegradation = ["saltpepper0.1"]\nloss.kind = ["edges", "l1"]\n'
    )
    rows = caelab(
        plugins,
        "study",
        str(study),
        "--runs",
        str(tmp_path / "runs"),
        "--engine",
        "serial",
        "--json",
    )
    assert rows.returncode == 0, rows.stderr
    weights = [*(tmp_path / "runs").rglob("weights.safetensors")]
    assert len(weights) == 4

    without = caelab(EXAMPLES / "blurpool.py", "evaluate", str(out))
    assert without.returncode == 2
    assert "saltpepper" in without.stderr
    assert "Traceback" not in without.stderr


def test_without_the_plug_in_the_layer_is_unknown() -> None:
    refused = caelab(Path(os.devnull), "describe", "conv4 blurpool conv3")
    assert refused.returncode == 2


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ('import caelab\n@caelab.register\nclass C(caelab.LayerKind):\n    name = "conv"', "taken"),
    ],
)
def test_a_plug_in_that_fails_is_one_clear_line(
    tmp_path: Path, source: str, complaint: str
) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(source)
    refused = caelab(plugin, "describe", "conv4 mine conv3")
    assert refused.returncode == 2
    assert complaint in refused.stderr
    assert "plugin.py" in refused.stderr
    assert "Traceback" not in refused.stderr
