import json

import pytest
from click.testing import CliRunner

from caelab.cli import main
from caelab.commands.evaluate import command


def test_a_model_that_ships_is_measured_on_other_images() -> None:
    answer = CliRunner().invoke(
        command, ["reference", "--data", "photos", "--part", "train", "--json"]
    )
    result = json.loads(answer.stdout)
    assert result["network"] == "conv8 pool conv12 pool conv16 | up conv12 up conv3"
    assert result["data"] == "photos"
    assert 0.001 < result["errors"]["mse"] < 0.01


def test_a_model_that_there_is_not_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["caelab", "evaluate", "referense"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "there is no model 'referense'. Did you mean reference?" in capsys.readouterr().err
