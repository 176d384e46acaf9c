"""The numbers of processor cores and threads, and the memory, that this process may use.

The machine may have more: the CPU affinity of a process can exclude cores, and the control groups
of a container can limit processor time and memory. This module does not import PyTorch.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

GROUPS = Path("/proc/self/cgroup")
"""Linux's list of the control groups that this process is in."""

GROUP_FILES = Path("/sys/fs/cgroup")
"""Folder in which Linux shows the limits of control groups."""


def available_cores() -> int:
    """Return the number of cores that this process may use, at least 1.

    This is the number of cores in the CPU affinity of the process, or fewer if a container has a
    quota of processor time. The quota is rounded up to whole cores.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    limits = [
        *_limits("cpu", "cpu.max"),  # version 2 of control groups: quota and period in one file
        *_limits("cpu", "cpu.cfs_quota_us", "cpu.cfs_period_us"),  # version 1
    ]
    quotas = [-(-quota // period) for quota, period in limits if quota > 0 and period > 0]
    return max(1, min([cores, *quotas]))


def chosen_threads() -> int | None:
    """Return the number of threads in ``OMP_NUM_THREADS``; ``None`` if the variable has none."""
    # The variable may be a list with a number for each level of nested parallelism.
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) else None


def default_threads() -> int:
    """Return the number of threads for a computation: ``OMP_NUM_THREADS``, or one per core."""
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
    """Yield the limits that control groups set to this process, as the numbers in their files.

    Args:
        controller: Limited resource, ``"cpu"`` or ``"memory"``; version 1 of control groups names
            its folders by it.
        names: Names of the files in which a group has its limit.
    """
    try:
        groups = [line.split(":", 2) for line in GROUPS.read_text(encoding="utf-8").splitlines()]
    except OSError:  # not Linux
        return
    for _, controllers, path in groups:
        # Version 2 has one hierarchy of groups for all resources. Version 1 has several, each for
        # one or more resources, such as "cpu,cpuacct".
        if controllers and controller not in controllers.split(","):
            continue
        group = PurePosixPath(path.lstrip("/"))
        # A limit of a group also holds for all groups in it, so every parent is read. In a
        # container, the path may be that of the host, but the container's group is at the root.
        for each in (group, *group.parents):
            # A file may be missing, or contain the word "max" if there is no limit.
            with contextlib.suppress(OSError, ValueError):
                files = [GROUP_FILES / controllers / each / name for name in names]
                yield [int(word) for file in files for word in file.read_text().split()]
