"""Two processes train to the bits of two threads, and a lost process is replaced."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from caelab.errors import InputError
from caelab.training.process_group import ALONE, ProcessGroup

WORKER = """
import os, pathlib, signal
from caelab import cli
from caelab.experiments.run_directory import BestCheckpoint

add = BestCheckpoint.add

def add_or_die(self, record, model):
    marker = pathlib.Path(os.environ["MARKER"])
    if record["epoch"] == 3 and os.environ["RANK"] == "1" and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    add(self, record, model)

BestCheckpoint.add = add_or_die
cli.main()
"""
"""Program of each process; the second one is killed once, after its third epoch."""

OPTIONS = "--data photos --train-size 512 --test-size 64 --val-size 65 --batch-size 32 --epochs 4"


def command(out: Path) -> list[str]:
    return ["train", "conv4 pool conv2 | up conv3", "--out", str(out), *OPTIONS.split()]


@pytest.mark.slow
def test_a_lost_process_is_replaced_and_the_bits_are_those_of_two_threads(tmp_path: Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launcher += ["--nproc-per-node", "2", "--max-restarts", "1", str(worker)]
    result = subprocess.run(
        [*launcher, *command(tmp_path / "two"), "--threads", "1"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "MARKER": str(tmp_path / "killed")},
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "killed").exists()
    assert result.stdout.count("best epoch") == 1  # only one process prints
    alone = [sys.executable, "-m", "caelab", *command(tmp_path / "one"), "--threads", "2"]
    subprocess.run(alone, check=True, capture_output=True, timeout=300)
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]


def test_parts_cover_the_batch_once() -> None:
    batch = torch.arange(7)
    parts = [ProcessGroup(rank=rank, size=3).part(batch) for rank in range(3)]
    assert torch.equal(torch.cat(parts), batch)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_process_alone_needs_no_other() -> None:
    tensors = [torch.ones(2), torch.zeros(3, 1)]
    assert all(map(torch.equal, ALONE.add(tensors), tensors))
    assert ALONE.gather("x") == ["x"]
    ALONE.require_equal({"the run": "a"})


def test_the_message_names_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    group = ProcessGroup(rank=1, size=2)
    monkeypatch.setattr(ProcessGroup, "gather", lambda _, value: [{"the run": "a"}, value])
    with pytest.raises(InputError, match="the run: b in process 1, a in process 0"):
        group.require_equal({"the run": "b"})
