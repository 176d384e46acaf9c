"""The environment of a run: versions, device, threads, commit, memory.

PyTorch is imported only inside functions, because processes that do not need PyTorch also call
:func:`peak_memory_bytes`.
"""

import datetime
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caelab import __version__
from caelab.processors import available_cores

if TYPE_CHECKING:
    import torch


def describe_environment(device: "torch.device", precision: "torch.dtype") -> dict[str, Any]:
    """Return the content of ``environment.json``: what a run's times and last digits depend on."""
    import torch

    return {
        "caelab": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": available_cores(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "lanes": _lanes(device),
        "precision": str(precision).removeprefix("torch."),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _lanes(device: "torch.device") -> int | None:
    """Return how many numbers the SIMD kernels compute at once; ``None`` if they are not used."""
    from caelab.kernels.simd import LIBRARY

    # This number decides which images are summed together, and so the last digits of a gradient.
    kernels = LIBRARY.loaded if device.type == "cpu" else None
    return None if kernels is None else int(kernels.lanes())


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    folder = Path(__file__).parent
    try:
        answer = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=5,
            check=False,
        )
    # Git may be missing, and an installed package is in no repository.
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
        # On Linux `platform.processor` is usually empty, so it is asked last.
        return platform.processor() or platform.machine()


def peak_memory_bytes() -> int | None:
    """Return the most memory in bytes that this process has used; ``None`` if it is unknown."""
    status = Path("/proc/self/status")
    if status.is_file():  # on Linux, getrusage also counts the parent that was forked
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text(encoding="utf-8"))
        return int(found[1]) * 1024 if found else None
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts in bytes, other systems in kilobytes.
    return peak if sys.platform == "darwin" else peak * 1024
