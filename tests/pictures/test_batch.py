"""A folder of pictures is done to its end, whatever some of them are."""

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from caelab.errors import InputError
from caelab.pictures.batch import work
from caelab.pictures.inputs import Job, find_jobs
from caelab.pictures.picture import Picture, read_picture


def same(pictures: Sequence[Picture]) -> list[Picture]:
    return list(pictures)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(6):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
    (folder / "2.png").write_bytes(b"broken")
    (folder / "4.png").write_bytes((folder / "4.png").read_bytes()[:50])
    return folder


def test_broken_pictures_are_told_and_the_others_done(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcomes = list(work(find_jobs([str(folder)], output=str(out)), same))
    assert [outcome.job.source.name for outcome in outcomes if outcome.job.source] == [
        f"{n}.png" for n in range(6)
    ]
    errors = {outcome.job.name: outcome.error for outcome in outcomes if outcome.error}
    assert set(errors) == {str(folder / "2.png"), str(folder / "4.png")}
    assert all(error.startswith(name) for name, error in errors.items())
    assert sorted(path.name for path in out.iterdir()) == ["0.png", "1.png", "3.png", "5.png"]
    assert all(read_picture(path).pixels[0, 0, 0] == int(path.stem) for path in out.iterdir())


def test_small_pictures_are_processed_together_and_large_ones_alone(tmp_path: Path) -> None:
    sizes = [(100, 100)] * 5 + [(1200, 1000)] * 2 + [(100, 100)]
    for number, size in enumerate(sizes):
        Image.new("L", size).save(tmp_path / f"{number}.png")
    counts = []

    def process(pictures: Sequence[Picture]) -> list[Picture]:
        counts.append(len(pictures))
        return list(pictures)

    assert not any(outcome.error for outcome in work(find_jobs([str(tmp_path)]), process))
    assert counts == [5, 1, 1, 1]


def test_one_that_cannot_be_processed_does_not_take_its_neighbors_along(
    folder: Path, tmp_path: Path
) -> None:
    def process(pictures: Sequence[Picture]) -> list[Picture]:
        if any(picture.pixels[0, 0, 0] == 3 for picture in pictures):
            raise InputError("three is not liked.")
        if any(picture.pixels[0, 0, 0] == 5 for picture in pictures):
            raise MemoryError
        return list(pictures)

    outcomes = list(work(find_jobs([str(folder)], output=str(tmp_path / "out")), process))
    errors = [outcome.error for outcome in outcomes]
    assert [error is None for error in errors] == [True, True, False, False, False, False]
    assert errors[3] == f"{folder / '3.png'}: three is not liked."
    assert errors[5] == f"{folder / '5.png'}: it does not fit into memory. Reduce it."


def test_what_exists_is_left_alone_before_any_work(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "1.png").write_text("mine")
    seen = []

    def process(pictures: Sequence[Picture]) -> list[Picture]:
        seen.extend(int(picture.pixels[0, 0, 0]) for picture in pictures)
        return list(pictures)

    jobs = find_jobs([str(folder)], output=str(out))
    errors = [outcome.error for outcome in work(jobs, process)]
    assert errors[1] == f"{out / '1.png'} exists already; `force` overwrites."
    assert seen == [0, 3, 5]
    assert (out / "1.png").read_text() == "mine"
    done = [outcome.error is None for outcome in work(jobs, process, force=True)]
    assert done == [True, True, False, True, False, True]
    assert read_picture(out / "1.png").pixels[0, 0, 0] == 1


def test_notes_of_reading_and_writing(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "green")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    job = Job(source=tmp_path / "a.gif", target=tmp_path / "a.jpg")

    def transparent(pictures: Sequence[Picture]) -> list[Picture]:
        return [
            Picture(pixels=p.pixels, alpha=np.zeros(p.size, np.uint8), notes=p.notes)
            for p in pictures
        ]

    (outcome,) = work([job], transparent)
    assert outcome.notes == (
        "of 2 frames only the first is used",
        "JPEG holds no transparency; the picture was laid on white",
    )


def test_standard_input_to_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (5, 4), (1, 2, 3)).save(stream, "TIFF")
    given, taken = io.BytesIO(stream.getvalue()), io.BytesIO()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=given))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=taken))
    (outcome,) = work(find_jobs(["-"]), same)
    assert outcome.error is None
    found = read_picture(taken.getvalue())
    assert found.format == "TIFF"
    assert (found.pixels == [1, 2, 3]).all()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"nothing")))
    (outcome,) = work(find_jobs(["-"]), same)
    assert outcome.error is not None
    assert outcome.error.startswith("standard input is not a picture")
