import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.run import run
from caelab.experiments.tracking import TensorBoard

MODULE = "torch.utils.tensorboard"


class Writer:
    """Keeps what would be written."""

    written: list[tuple[str, str, float, int]] = []  # noqa: RUF012

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.written.append((self.folder, name, value, step))

    def flush(self) -> None:
        pass


def test_every_epoch_is_written_under_the_name_of_its_run(
    small: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType(MODULE)
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, MODULE, module)
    monkeypatch.setattr(Writer, "written", [])
    directory = run(small(epochs=2), runs=tmp_path, watch=TensorBoard(tmp_path / "logs"))
    rows = directory.read_epochs()
    errors = [each for each in Writer.written if each[1] == "validation_mse"]
    folder = str(tmp_path / "logs" / directory.path.name)
    assert [(each[0], each[3]) for each in errors] == [(folder, 1), (folder, 2)]
    assert [each[2] for each in errors] == pytest.approx([row["validation_mse"] for row in rows])
    assert {each[1] for each in Writer.written} == rows[0].keys() - {"epoch"}


def test_a_tracker_that_is_not_installed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, MODULE, None)
    with pytest.raises(InputError, match=r"`tensorboard` .*pip install .*tensorboard"):
        TensorBoard(tmp_path)


def test_what_a_watcher_raises_loses_nothing(
    small: Callable[..., RunConfig], tmp_path: Path
) -> None:
    def fail(_: object) -> None:
        raise ConnectionError("the tracker is gone")

    with pytest.raises(ConnectionError):
        run(small(epochs=2), runs=tmp_path, watch=lambda _: fail)
    seen: list[float] = []
    resumed = run(
        small(epochs=2), runs=tmp_path, watch=lambda _: lambda row: seen.append(row["epoch"])
    )
    whole = run(small(epochs=2), out=tmp_path / "whole")
    assert seen == [2]
    assert [row["validation_mse"] for row in resumed.read_epochs()] == [
        row["validation_mse"] for row in whole.read_epochs()
    ]
