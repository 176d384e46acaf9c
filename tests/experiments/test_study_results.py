import dataclasses
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caelab.errors import InputError
from caelab.experiments.study_results import COLUMNS, StudyRow, read_rows, write_rows

words = st.text(string.printable.replace("\r", "") + "×·–", max_size=20)
counts = st.integers(0, 10**12)
numbers = st.floats(0, allow_nan=False)
rows = st.builds(
    StudyRow,
    label=words,
    factor=words,
    level=words,
    network=words,
    seed=counts,
    run=words,
    code_size=st.none() | counts,
    code_shape=st.none() | st.tuples(counts, counts, counts),
    narrowest=counts,
    skip_around_code=st.booleans(),
    weights=counts,
    multiply_accumulates=counts,
    seconds_per_epoch=numbers,
    epochs=counts,
    validation_mse=numbers,
    test_mse=numbers,
    test_psnr=numbers,
)

ROW = StudyRow(
    label="base",
    factor="",
    level="",
    network="conv4 pool conv2 | up conv3",
    seed=0,
    run="conv4-0123abcd",
    code_size=128,
    code_shape=(2, 8, 8),
    narrowest=128,
    skip_around_code=False,
    weights=243,
    multiply_accumulates=46080,
    seconds_per_epoch=1.5,
    epochs=3,
    validation_mse=0.004,
    test_mse=0.005,
    test_psnr=23.1,
)


@given(st.lists(rows, max_size=4))
def test_written_and_read_they_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, given_rows: list[StudyRow]
) -> None:
    file = tmp_path_factory.mktemp("results") / "results.csv"
    write_rows(file, given_rows)
    assert read_rows(file) == given_rows


def test_the_file_is_legible(tmp_path: Path) -> None:
    write_rows(
        tmp_path / "results.csv", [ROW, dataclasses.replace(ROW, code_size=None, code_shape=None)]
    )
    header, first, second = (tmp_path / "results.csv").read_text().splitlines()
    assert header.split(",") == list(COLUMNS)
    assert "conv4-0123abcd,128,2x8x8,128,false,243,46080,1.5,3,0.004,0.005,23.1" in first
    assert "conv4-0123abcd,,,128,false" in second


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (",243,", ",many,", r"line 2: weights is 'many'"),
        ("2x8x8", "2x8", r"line 2: code_shape is '2x8'"),
        ("false", "perhaps", r"line 2: skip_around_code is 'perhaps'"),
        (",23.1", "", r"line 2: 16 cells instead of 17"),
        ("label,", "name,", r"is not a study's results: its first line should be label,factor,"),
    ],
)
def test_a_damaged_file_is_said(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "results.csv"
    write_rows(file, [ROW])
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(InputError, match=said):
        read_rows(file)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*results\.csv"):
        read_rows(tmp_path / "results.csv")
