import os
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from caelab import memory
from caelab.errors import InputError
from caelab.memory import SHARE, VARIABLE, max_memory, read_size, release_memory


def test_the_memory_is_what_is_asked_for_or_a_share_of_the_machines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(memory, "available_memory", lambda: 2**30)
    assert max_memory() == SHARE * 2**30
    monkeypatch.setenv(VARIABLE, "2GiB")
    assert max_memory() == 2 * 2**30


@pytest.mark.parametrize("text", ["", "0", "-1G", "G", "1X", "1e9", "nan"])
def test_what_is_no_size_is_said(text: str) -> None:
    with pytest.raises(InputError, match="is not a memory size"):
        read_size(text)


@pytest.mark.parametrize(("size", "code"), [("7K", 1), ("8K", 0)])
def test_a_picture_that_does_not_fit_is_refused(
    caelab: Callable[..., subprocess.CompletedProcess[str]],
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: str,
    code: int,
) -> None:
    monkeypatch.setenv(VARIABLE, "4G")
    picture = next(pictures.rglob("*.png"))  # 16×16 pixels, of 32 bytes each
    answer = caelab("--max-memory", size, "denoise", picture, "-o", tmp_path / "out.png")
    assert answer.returncode == code
    assert (tmp_path / "out.png").exists() == (code == 0)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep less")
def test_freed_memory_goes_back_to_the_system() -> None:
    """Blocks that stay here and there keep the C library from giving back all that is between."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    blocks = [bytearray(10_000) for _ in range(5_000)]
    kept = blocks[::100]
    del blocks
    before = resident()
    release_memory()
    assert before - resident() > 30e6
    assert len(kept) == 50
