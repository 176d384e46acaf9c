import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from caelab.cli import main
from caelab.commands.evaluate import command


def test_a_model_that_ships_is_measured_on_other_images() -> None:
    answer = CliRunner().invoke(command, ["reference", "--data", "photos", "--part", "train", "--json"])
    result = json.loads(answer.stdout)
    assert result["network"] == "conv8 pool conv12 pool conv16 | up conv12 up conv3"
    assert result["data"] == "photos"
    assert 0.001 < result["errors"]["mse"] < 0.01


def test_baselines_are_fitted_where_it_is_said(tmp_path: Path) -> None:
    """Linear codes of noise keep of photographs hardly anything."""
    generator = np.random.default_rng(0)
    (tmp_path / "noise").mkdir()
    for number in range(40):
        noise = generator.integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "noise" / f"{number}.png")
    words = ["reference", "--data", "photos", "--json"]
    own, fitted = (
        json.loads(CliRunner().invoke(command, [*words, *more]).stdout)
        for more in ([], ["--fit", str(tmp_path / "noise")])
    )
    assert fitted["errors"] == own["errors"]
    assert fitted["baselines"]["pca-768"]["mse"] > 10 * own["baselines"]["pca-768"]["mse"]
    assert fitted["baselines"]["pca-768"]["n"] == own["errors"]["n"]


def test_a_model_that_there_is_not_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["caelab", "evaluate", "referense"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "there is no model 'referense'. Did you mean reference?" in capsys.readouterr().err
