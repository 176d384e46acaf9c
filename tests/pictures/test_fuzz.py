"""No file, however broken, crashes the way of a picture, makes it hang, or takes memory without
bound."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("count", [2000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_files_are_read_or_refused(count: int) -> None:
    script = Path(__file__).with_name("fuzzing.py")
    attacks = str(Path(__file__).parents[1] / "attacks")
    done = subprocess.run(
        [sys.executable, str(script), str(count), "0"],
        capture_output=True,
        text=True,
        timeout=60 + count / 5,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, (attacks, os.environ.get("PYTHONPATH")))),
        },
    )
    assert done.returncode == 0, f"ended by {done.returncode}: {done.stderr[-2000:]}"
    result = json.loads(done.stdout)
    assert result["failures"] == []
    assert result["read"] + result["refused"] == count
    assert min(result["read"], result["refused"]) > 0.1 * count
    assert result["peak"] < 2**30  # bytes
