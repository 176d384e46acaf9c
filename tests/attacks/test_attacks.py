"""Commands are killed, stopped and given full disks; readers are given damaged files.

``CAELAB_ATTACK_SECONDS`` says how long, ``CAELAB_ATTACK_SEED`` which; ``make attack`` is for a
night.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SECONDS = float(os.environ.get("CAELAB_ATTACK_SECONDS", "6"))
SEED = os.environ.get("CAELAB_ATTACK_SEED", "0")


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("attack.py"), str(SECONDS), SEED],
        stdout=subprocess.PIPE,
        timeout=4 * SECONDS + 900,
        check=False,
        # More threads would not survive that processes are forked.
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0
    if report := os.environ.get("CAELAB_ATTACK_REPORT"):
        Path(report).write_bytes(done.stdout)
    return dict(json.loads(done.stdout))


@pytest.mark.skipif(sys.platform != "linux", reason="attacks need fork, /proc and audit hooks")
def test_no_attack_finds_anything(results: dict[str, Any]) -> None:
    assert len(results) > 30
    assert all(result["count"] > 0 for result in results.values())
    assert [problem for result in results.values() for problem in result["found"]] == []
