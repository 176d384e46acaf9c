"""A pickle is a program by a stranger: whatever it says, nothing runs and little memory is
taken."""

import contextlib
import os
import pickle
import resource
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caelab.data import cifar10
from caelab.data.cifar10 import parse_python


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "PER_BATCH", 3)
    monkeypatch.setattr(cifar10, "PIXELS", 40)


PIXELS = np.arange(120, dtype=np.uint8).reshape(3, 40)


@cache
def small(protocol: int = 4) -> bytes:
    return pickle.dumps({"data": PIXELS, "labels": [3, 0, 9]}, protocol=protocol)


@pytest.mark.parametrize("protocol", [3, 4])
def test_a_small_batch(protocol: int) -> None:
    pixels, labels = parse_python(small(protocol))
    assert np.array_equal(pixels, PIXELS)
    assert labels.tolist() == [3, 0, 9]


class Reduces:
    def __init__(self, *reduction: object) -> None:
        self.reduction = reduction

    def __reduce__(self) -> tuple[object, ...]:
        return self.reduction


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_commands_do_not_run(protocol: int, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    command = Reduces(os.system, (f"touch {proof}",))
    with contextlib.suppress(ValueError):
        parse_python(pickle.dumps(command, protocol=protocol))
    content = {"data": PIXELS, "labels": [3, 0, 9], "other": command}
    with contextlib.suppress(ValueError):
        parse_python(pickle.dumps(content, protocol=protocol))
    assert not proof.exists()
    pickle.loads(pickle.dumps(command))
    assert proof.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"cnumpy\nndarray\n(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ft\x85R.",  # ndarray((2**31, 2**31))
        b"})" + b"\x85" * 1_000_000 + b"Ns.",  # its hash overflows the stack of the interpreter
        b"Nr\xff\xff\xff\xff.",  # a memo index that takes gigabytes
        b"i" + b"os\nsystem\n.",
        b"\x8e" + (2**40).to_bytes(8, "little") + b".",  # a terabyte of bytes
        b"\x95" + (2**62).to_bytes(8, "little") + b".",  # a frame of exabytes
        b"T\xff\xff\xff\xff.",
        b"T\xff\xff\xff\x7f.",
        b"0" * 2**23 + b".",  # more instructions than a batch has
        b"I" + b"9" * 2**20 + b"\n.",
        b"\x8b" + (2**20).to_bytes(4, "little") + bytes(2**20) + b".",
        b"h\x05.",
        b"e.",
        b".",
        b"",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_hostile_programs(body: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"it is truncated|its data"):
        parse_python(b"\x80\x02" + body)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes


@given(st.binary(max_size=60))
def test_noise_is_an_error(noise: bytes) -> None:
    with pytest.raises(ValueError, match="it"):
        parse_python(noise)


@given(st.integers(0, len(small()) - 1), st.integers(0, 255))
def test_one_wrong_byte_is_a_batch_or_an_error(place: int, value: int) -> None:
    with contextlib.suppress(ValueError):
        pixels, labels = parse_python(small()[:place] + bytes([value]) + small()[place + 1 :])
        assert (pixels.shape, labels.shape, labels.max() <= 9) == ((3, 40), (3,), True)


@given(st.integers(0, len(small()) - 1))
def test_every_truncation_is_an_error(length: int) -> None:
    with pytest.raises(ValueError, match="truncated"):
        parse_python(small()[:length])
