"""Where a run happened: versions, device, threads, commit."""

import datetime
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from caelab import __version__
from caelab.kernels.simd import LIBRARY


def describe_environment(device: torch.device, precision: torch.dtype) -> dict[str, Any]:
    """Return what is needed to tell whether two runs' times and last digits may be compared."""
    return {
        "caelab": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "lanes": _lanes(device),
        "precision": str(precision).removeprefix("torch."),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _lanes(device: torch.device) -> int | None:
    """Return how many images the compiled loops of small networks take at once; ``None`` without
    them.
    """
    loops = LIBRARY.loaded if device.type == "cpu" else None
    return None if loops is None else int(loops.lanes())


def _commit() -> str | None:
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
    ]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
