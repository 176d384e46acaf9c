"""A lab that is killed again and again ends with the numbers of one that was not."""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

TIMES = re.compile(r"seconds|started|memory|resumed")
"""Keys of what differs between two labs."""

KILLS = int(os.environ.get("CAELAB_TEST_KILLS", "2"))
"""How often the lab is killed; more takes longer."""


def start(folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    script = Path(__file__).with_name("tiny_lab.py")
    return subprocess.Popen(
        [sys.executable, script],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "CAELAB_TEST_FOLDER": str(folder)},
    )


def kill(lab: subprocess.Popen[bytes], folder: Path, *, workers: bool) -> None:
    """Kill the lab; its workers too, which otherwise save their state when they miss it."""
    assert lab.stderr is not None
    lab.stderr.close()
    lab.kill()
    lab.wait()
    mark = f"CAELAB_TEST_FOLDER={folder}".encode()
    for process in Path("/proc").glob("[0-9]*") if workers else ():
        try:
            ours = mark in (process / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended, or is somebody else's
            continue
        if ours:
            os.kill(int(process.name), signal.SIGKILL)


def finish(lab: subprocess.Popen[bytes]) -> None:
    _, said = lab.communicate(timeout=300 + 60 * KILLS)
    assert lab.returncode == 0, said.decode()


def results(folder: Path) -> Any:
    return timeless(json.loads((folder / "lab" / "results.json").read_text()))


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        if "s/epoch" in value.get("columns", ()):
            at = value["columns"].index("s/epoch")
            value = {**value, "rows": [row[:at] + row[at + 1 :] for row in value["rows"]]}
        return {name: timeless(each) for name, each in value.items() if not TIMES.search(name)}
    return [timeless(each) for each in value] if isinstance(value, list) else value


def epochs(folder: Path) -> int:
    """Return the number of epochs that all runs have written down."""
    counts = []
    for file in folder.glob("runs/*/epochs.csv"):
        with contextlib.suppress(OSError):  # it is just being replaced
            counts.append(len(file.read_text().splitlines()) - 1)
    return sum(counts)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers are found in /proc")
def test_a_lab_that_is_killed_ends_with_the_same_numbers(tmp_path: Path) -> None:
    finish(start(tmp_path / "whole"))
    total = epochs(tmp_path / "whole")
    drawn, folder, kills = random.Random(0), tmp_path / "killed", 0
    for count in range(KILLS):
        lab, enough = start(folder), total * (count + drawn.random()) / KILLS
        while lab.poll() is None and epochs(folder) < enough:
            time.sleep(0.01)
        time.sleep(drawn.uniform(0, 0.3))
        kills += lab.poll() is None
        kill(lab, folder, workers=count % 2 == 0)
    finish(start(folder))
    assert kills == KILLS
    whole, killed = results(tmp_path / "whole"), results(folder)
    assert len(whole["runs"]) > 5
    assert killed == whole
