"""A pickle is a program by a stranger: whatever it says, nothing runs and little memory is
taken."""

import contextlib
import os
import pickle
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caelab.data.restricted_pickle import _ADMITTED, PickledArray, unpickle

SMALL = pickle.dumps(
    {"data": np.arange(6, dtype=np.uint8).reshape(2, 3), "labels": [3, 300, 70_000]}, protocol=4
)


def test_a_small_batch() -> None:
    content = unpickle(SMALL)
    assert isinstance(content, dict)
    assert content["labels"] == [3, 300, 70_000]
    array = content["data"]
    assert isinstance(array, PickledArray)
    assert (array.shape, array.data) == ((2, 3), bytes(range(6)))


def test_strings_of_python_2_are_bytes() -> None:
    assert unpickle(b"\x80\x02}U\x04nameU\x03cats.") == {b"name": b"cat"}


class Reduces:
    def __init__(self, *reduction: object) -> None:
        self.reduction = reduction

    def __reduce__(self) -> tuple[object, ...]:
        return self.reduction


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_commands_do_not_run(protocol: int, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    content = pickle.dumps(Reduces(os.system, (f"touch {proof}",)), protocol=protocol)
    with pytest.raises(pickle.UnpicklingError):
        unpickle(content)
    assert not proof.exists()


@pytest.mark.parametrize(
    "name",
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("numpy", "ndarray.tofile"),
        ("numpy", "load"),
        ("numpy", "fromfile"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy.core.multiarray", "_reconstruct.__globals__"),
        ("numpy._core.multiarray", "fromfile"),
        ("caelab.data.restricted_pickle", "PickledArray"),
        ("_codecs", "encode"),
    ],
    ids=".".join,
)
def test_other_names_are_refused(name: tuple[str, str]) -> None:
    module, attribute = name
    by_text = f"\x80\x02c{module}\n{attribute}\n.".encode("latin-1")
    by_stack = (
        b"\x80\x04"
        + b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in name)
        + b"\x93."
    )
    for content in (by_text, by_stack):
        with pytest.raises(pickle.UnpicklingError, match=f"it asks for {module}.{attribute}"):
            unpickle(content)


NDARRAY, DTYPE, RECONSTRUCT = (
    b"cnumpy\nndarray\n",
    b"cnumpy\ndtype\n",
    b"cnumpy.core.multiarray\n_reconstruct\n",
)


@pytest.mark.parametrize(
    "body",
    [
        NDARRAY + b"(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ft\x85R.",  # ndarray((2**31, 2**31))
        NDARRAY + b"}X\x04\x00\x00\x00datab.",  # a state for the class itself
        NDARRAY + b"N}X\x04\x00\x00\x00dataNs\x86b.",  # attributes for the class itself
        RECONSTRUCT + b"N}X\x07\x00\x00\x00__new__Ns\x86b.",
        DTYPE + b"X\x01\x00\x00\x00O\x85R.",
        DTYPE + b"X\x03\x00\x00\x00V99\x85R.",
        RECONSTRUCT + b")R(K\x01J\xff\xff\xff\x7f\x85NNC\x01xtb.",
        b"K\x01K\x02\x85R.",  # a call of a number
        b"\x82\x01.",  # the registry of extensions
        b"X\x01\x00\x00\x00aQ.",  # a persistent id
        b"i" + b"os\nsystem\n.",
        b"cnumpy\nndarray\n)\x81.",  # __new__
        b"\x8e" + (2**40).to_bytes(8, "little") + b".",  # a terabyte of bytes
        b"\x95" + (2**62).to_bytes(8, "little") + b".",  # a frame of exabytes
        b"T\xff\xff\xff\xff.",
        b"T\xff\xff\xff\x7f.",
        b"h\x05.",
        b"e.",
        b"s.",
        b"u.",
        b".",
        b"",
    ],
    ids=repr,
)
def test_hostile_programs(body: bytes) -> None:
    before = [dict(vars(stand_in)) for stand_in in _ADMITTED.values()]
    with pytest.raises(pickle.UnpicklingError):
        unpickle(b"\x80\x02" + body)
    assert [dict(vars(stand_in)) for stand_in in _ADMITTED.values()] == before


def test_a_nested_key_is_not_hashed() -> None:
    # The hash of a tuple a million deep overflows the stack of the interpreter: in a process of its
    # own.
    program = (
        "import pickle\nfrom caelab.data.restricted_pickle import unpickle\n"
        "try:\n    unpickle(b'\\x80\\x02})' + b'\\x85' * 1_000_000 + b'Ns.')\n"
        "except pickle.UnpicklingError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "a dictionary whose keys are not texts\n")


def test_a_huge_memo_index_takes_no_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert unpickle(b"\x80\x02Nr\xff\xff\xff\xff.") is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kilobytes


@given(st.binary(max_size=60))
def test_noise_is_data_or_an_error(noise: bytes) -> None:
    with contextlib.suppress(pickle.UnpicklingError):
        unpickle(noise)


@given(st.integers(0, len(SMALL) - 1), st.integers(0, 255))
def test_one_wrong_byte_is_data_or_an_error(place: int, value: int) -> None:
    with contextlib.suppress(pickle.UnpicklingError):
        unpickle(SMALL[:place] + bytes([value]) + SMALL[place + 1 :])


@given(st.integers(0, len(SMALL) - 1))
def test_every_truncation_is_an_error(length: int) -> None:
    with pytest.raises(pickle.UnpicklingError):
        unpickle(SMALL[:length])
