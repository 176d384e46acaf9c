"""How much memory a process has taken. No torch, so that it may be asked of one that does
without.
"""

import re
import sys
from pathlib import Path


def peak_memory_bytes() -> int | None:
    """Return the largest resident size that this process has had, or ``None`` where the system does
    not tell.
    """
    status = Path("/proc/self/status")
    if status.is_file():  # on Linux, where getrusage counts what the process was forked from, too
        told = re.search(r"VmHWM:\s*(\d+) kB", status.read_text(encoding="utf-8"))
        return int(told[1]) * 1024 if told else None
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
