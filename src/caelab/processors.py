"""How many processor cores, threads and how much memory this process may use.

The machine may have more: an affinity binds a process to some cores, and a container's control
groups limit its processor time and its memory. PyTorch is not imported here.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

GROUPS = Path("/proc/self/cgroup")
"""Linux's list of the control groups that this process is in."""

GROUP_FILES = Path("/sys/fs/cgroup")
"""Where Linux shows the limits of control groups."""


def available_cores() -> int:
    """Return the number of cores that this process may use, at least 1.

    It is that of the affinity, or less where a container has a quota of processor time; a part of a
    core counts as one.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    limits = [
        *_limits("cpu", "cpu.max"),  # quota and period
        *_limits("cpu", "cpu.cfs_quota_us", "cpu.cfs_period_us"),
    ]
    quotas = [-(-quota // period) for quota, period in limits if quota > 0 and period > 0]
    return max(1, min([cores, *quotas]))


def chosen_threads() -> int | None:
    """Return the threads of a process that ``OMP_NUM_THREADS`` asks for; ``None`` without it."""
    # A list has a number for each level of nested parallel regions.
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) else None


def default_threads() -> int:
    """Return the threads of a computation: those of ``OMP_NUM_THREADS``, else one per core."""
    return chosen_threads() or available_cores()


def available_memory() -> int | None:
    """Return the bytes of memory that this process may use; ``None`` if they are unknown."""
    memory: list[int] = []
    # Windows has no sysconf.
    with contextlib.suppress(AttributeError, ValueError, OSError):
        memory = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for names in ("memory.max", "memory.limit_in_bytes"):
        memory += [limit for (limit,) in _limits("memory", names)]
    return min(memory, default=None)


def _limits(controller: str, *names: str) -> Iterator[list[int]]:
    """Yield the numbers in files of each control group around this process that has a limit.

    Args:
        controller: Name of the controller, by which version 1 names its folders.
        names: Names of the files.
    """
    try:
        groups = [line.split(":", 2) for line in GROUPS.read_text(encoding="utf-8").splitlines()]
    except OSError:  # not Linux
        return
    for _, controllers, path in groups:
        # Version 2 has one hierarchy of groups, for all controllers; version 1 one for some each,
        # such as "cpu,cpuacct".
        if controllers and controller not in controllers.split(","):
            continue
        group = PurePosixPath(path.lstrip("/"))
        # A limit of a group is one of all groups in it. In a container the path may be the host's,
        # and only the container's own group be seen, at the root.
        for each in (group, *group.parents):
            # A file may be missing, or say "max".
            with contextlib.suppress(OSError, ValueError):
                files = [GROUP_FILES / controllers / each / name for name in names]
                yield [int(word) for file in files for word in file.read_text().split()]
