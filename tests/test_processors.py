import os
from pathlib import Path

import pytest

from caelab import processors
from caelab.processors import available_cores, available_memory, chosen_threads, default_threads


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of a fake machine of 64 cores, whose control groups are a test's to write."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(processors, "GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(processors, "GROUP_FILES", tmp_path)
    return tmp_path


def write(folder: Path, groups: str, files: dict[str, str]) -> None:
    (folder / "cgroup").write_text(groups)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


V1 = "12:memory:/docker/a1\n4:cpu,cpuacct:/docker/a1\n1:name=systemd:/docker/a1\n"


@pytest.mark.parametrize(
    ("text", "files", "cores"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),  # a part of a core counts as one
        ("0::/\n", {"cpu.max": "1000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 64),
        ("0::/\n", {"cpu.max": "6400000000 100000\n"}, 64),
        ("0::/\n", {"cpu.max": "damaged"}, 64),
        ("0::/\n", {}, 64),
        ("", {}, 64),
        # The limit of a group around the process's own is its limit, too.
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        ("0::/a/b\n", {"a/b/cpu.max": "100000 50000\n", "a/cpu.max": "300000 100000\n"}, 2),
        (
            V1,
            {
                "cpu,cpuacct/docker/a1/cpu.cfs_quota_us": "400000\n",
                "cpu,cpuacct/docker/a1/cpu.cfs_period_us": "100000\n",
            },
            4,
        ),
        # In a container, the files of the host's path are at the root.
        (
            V1,
            {
                "cpu,cpuacct/cpu.cfs_quota_us": "250000\n",
                "cpu,cpuacct/cpu.cfs_period_us": "50000\n",
            },
            5,
        ),
        (
            V1,
            {"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            64,
        ),
    ],
)
def test_a_quota_of_processor_time(
    groups: Path, text: str, files: dict[str, str], cores: int
) -> None:
    write(groups, text, files)
    assert available_cores() == default_threads() == cores


def test_an_affinity_limits_the_cores(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 8}, raising=False)
    assert available_cores() == 3  # where there are no control groups
    write(groups, "0::/\n", {"cpu.max": "200000 100000\n"})
    assert available_cores() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1


@pytest.mark.parametrize(
    ("text", "threads"),
    [("3", 3), ("4,2", 4), ("", None), ("0", None), ("all", None), ("-2", None)],
)
def test_threads_that_the_environment_asks_for(
    groups: Path, monkeypatch: pytest.MonkeyPatch, text: str, threads: int | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert chosen_threads() == threads
    assert default_threads() == threads or 64
    assert available_cores() == 64


@pytest.mark.parametrize(
    ("text", "files", "memory"),
    [
        ("0::/\n", {"memory.max": "2000000000\n"}, 2_000_000_000),
        ("0::/\n", {"memory.max": "max\n"}, 8_000_000_000),
        (V1, {"memory/docker/a1/memory.limit_in_bytes": "3000000000\n"}, 3_000_000_000),
        (V1, {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 8_000_000_000),
    ],
)
def test_a_limit_of_memory(
    groups: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    files: dict[str, str],
    memory: int,
) -> None:
    numbers = {"SC_PHYS_PAGES": 2_000_000, "SC_PAGE_SIZE": 4000}
    monkeypatch.setattr(os, "sysconf", lambda name: numbers[name], raising=False)
    write(groups, text, files)
    assert available_memory() == memory


def test_memory_may_be_unknown(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf")
    assert available_memory() is None
