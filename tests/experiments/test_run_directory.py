from pathlib import Path

import pytest
import torch

from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.run_directory import RunDirectory, read_config, run_name
from caelab.files import TEMPORARY, locked, read_json, without_home

SOURCE = {"name": "photos", "where": "", "note": "", "fingerprint": "abc"}


def test_a_claimed_directory_repeats_its_configuration(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    config = RunConfig().replace(network="conv3", learning_rate=0.0031)
    directory.claim(config, "k1", SOURCE)
    directory.claim(config, "k1", SOURCE)
    assert read_config(directory.path) == config
    assert not directory.finished


def test_another_runs_directory_is_refused(tmp_path: Path) -> None:
    RunDirectory(tmp_path).claim(RunConfig(), "k1", SOURCE)
    with pytest.raises(InputError, match=r"holds another run \(k1; this one is k2\)"):
        RunDirectory(tmp_path).claim(RunConfig(), "k2", SOURCE)


def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="is not empty and not a run"):
        RunDirectory(tmp_path).claim(RunConfig(), "k1", SOURCE)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file: a run needs a folder"):
        RunDirectory(tmp_path / "file").claim(RunConfig(), "k1", SOURCE)
    with pytest.raises(InputError, match="cannot write"):
        RunDirectory(tmp_path / "file" / "run").claim(RunConfig(), "k1", SOURCE)


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.write(
        directory.result,
        {"psnr": float("inf"), "list": [float("nan"), 1.5], "deep": {"x": -float("inf")}},
    )
    assert directory.read(directory.result) == {
        "psnr": None,
        "list": [None, 1.5],
        "deep": {"x": None},
    }


def test_epochs_round_trip(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    records = [{"epoch": 1.0, "train_mse": 0.012345678}, {"epoch": 2.0, "train_mse": 1e-5}]
    directory.write_epochs(records)
    assert directory.read_epochs() == records


@pytest.mark.parametrize("damage", ["", "epoch,train_mse\n1,zero\n", "epoch,train_mse\n1\n"])
def test_damaged_epochs_are_said(tmp_path: Path, damage: str) -> None:
    directory = RunDirectory(tmp_path)
    directory.epochs.write_text(damage)
    with pytest.raises(InputError, match=r"cannot read .*epochs\.csv"):
        directory.read_epochs()


@pytest.mark.parametrize("damage", ["", "{", "[1, 2]", "\x00"])
def test_damaged_json_is_said(tmp_path: Path, damage: str) -> None:
    (tmp_path / "config.json").write_text(damage)
    with pytest.raises(InputError, match=r"config\.json"):
        read_json(tmp_path / "config.json")


def test_a_checkpoint_is_data_never_code(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    assert directory.load_checkpoint() is None
    directory.save_checkpoint({"tensor": torch.arange(3), "epoch": 2})
    loaded = directory.load_checkpoint()
    assert loaded is not None
    assert loaded["tensor"].tolist() == [0, 1, 2]

    torch.save({"path": Path("/")}, directory.checkpoint)  # an arbitrary class
    with pytest.raises(InputError, match=r"checkpoint\.pt is damaged"):
        directory.load_checkpoint()
    directory.checkpoint.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match="Delete it to train this run from the start"):
        directory.load_checkpoint()


def test_names_are_short_and_safe() -> None:
    assert run_name(RunConfig(), "abc") == f"reference-{RunConfig().key('abc')}"
    name = run_name(
        RunConfig().replace(network="conv8:none (conv8v) pool2 up " * 9 + "conv3"), "abc"
    )
    assert name.startswith("conv8-none-conv8v-pool-up")
    assert len(name) <= 49
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_a_run_whose_first_file_was_cut_off_begins_again(tmp_path: Path) -> None:
    leftover = tmp_path / "run" / f"{TEMPORARY}0123456789abcdef.json"
    leftover.parent.mkdir()
    leftover.write_text('{"key"')
    RunDirectory(tmp_path / "run").claim(RunConfig(), "k1", SOURCE)
    assert not leftover.exists()


def test_a_lock_that_is_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()
    with pytest.raises(InputError, match="cannot lock"), locked(tmp_path / ".lock", wait=0):
        pass


@pytest.mark.parametrize("rows", ["1,nan", "-5,0.1", "1,inf"])
def test_rows_without_sensible_numbers_are_said(tmp_path: Path, rows: str) -> None:
    directory = RunDirectory(tmp_path)
    directory.epochs.write_text(f"epoch,validation_mse\n{rows}\n")
    with pytest.raises(InputError, match="without valid numbers"):
        directory.read_epochs()


def test_the_home_folder_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "someone"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "someone"))
    where = str(tmp_path / "someone" / "pictures")
    directory = RunDirectory(tmp_path / "run")
    directory.claim(RunConfig().replace(data=where), "k1", {**SOURCE, "where": where})
    content = read_json(directory.config)
    assert "someone" not in directory.config.read_text()
    assert Path(content["data"]["where"]).expanduser() == Path(where)
    assert read_config(directory.path).data.source == content["data"]["where"]
    others = f"{tmp_path}/someone2 /mnt{where}"
    assert without_home(f"{where} {others}") == f"~/pictures {others}"


def test_a_configuration_that_is_a_list_is_said(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"config": [], "key": 3}')
    with pytest.raises(InputError, match="holds another run"):
        RunDirectory(tmp_path).claim(RunConfig(), "k1", SOURCE)
