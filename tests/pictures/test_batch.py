"""A folder of pictures is done to its end, whatever some of them are."""

import errno
import io
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from caelab.errors import InputError
from caelab.pictures import read
from caelab.pictures.batch import work
from caelab.pictures.formats import holds_several
from caelab.pictures.inputs import Job, find_jobs
from caelab.pictures.picture import Picture
from caelab.pictures.read import read_pages, read_picture


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
    assert (
        errors[5] == f"{folder / '5.png'}: the picture does not fit into memory. Reduce its size."
    )


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
    assert errors[1] == f"{out / '1.png'} exists already; `force` overwrites it."
    assert seen == [0, 3, 5]
    assert (out / "1.png").read_text() == "mine"
    done = [outcome.error is None for outcome in work(jobs, process, force=True)]
    assert done == [True, True, False, True, False, True]
    assert read_picture(out / "1.png").pixels[0, 0, 0] == 1


def test_names_as_long_as_names_can_be_stop_nothing(tmp_path: Path) -> None:
    for name in ("a" * 251 + ".png", "b.png", "c" * 246 + ".png"):
        Image.new("RGB", (5, 4)).save(tmp_path / name)
    jobs = find_jobs([str(tmp_path)], suffix="-x")
    outcomes = {outcome.job.source.name[0]: outcome for outcome in work(jobs, same)}  # type: ignore[union-attr]
    assert {name: outcome.error is None for name, outcome in outcomes.items()} == {
        "a": False, "b": True, "c": True,
    }  # fmt: skip
    assert outcomes["a"].error is not None
    assert str(tmp_path / ("a" * 251 + "-x.png")) in outcomes["a"].error
    # Its own name fits in another folder.
    jobs = find_jobs([str(tmp_path)], output=str(tmp_path / "out"), suffix="-x")
    assert not any(outcome.error for outcome in work(jobs, same))
    # Earlier results are in the folder, too.
    lengths = sorted(len(path.name) for path in (tmp_path / "out").iterdir())
    assert lengths == [len("b.png"), len("b-x.png"), 250, 252, 255]


def test_a_mistake_of_this_package_is_not_called_damage_and_stops_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(values: np.ndarray, orientation: int) -> np.ndarray:
        if values[0, 0, 0] == 1:
            raise TypeError("a mistake")
        return values

    monkeypatch.setattr(read, "_upright", mistaken)
    with pytest.raises(TypeError, match="a mistake"):
        read_picture(folder / "1.png")
    outcomes = list(work(find_jobs([str(folder)], output=str(tmp_path / "out")), same))
    errors = [outcome.error for outcome in outcomes]
    assert [error is None for error in errors] == [True, False, False, True, False, True]
    assert errors[1] is not None
    assert "TypeError" in errors[1]
    assert "damaged" not in errors[1]


def test_pages_are_processed_and_written_together(tmp_path: Path) -> None:
    pages = [Image.new("RGB", (4 + number, 4), (number, 0, 0)) for number in range(3)]
    pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
    Image.new("RGB", (4, 4)).save(tmp_path / "b.png")
    counts = []

    def process(pictures: Sequence[Picture]) -> list[Picture]:
        counts.append(len(pictures))
        return [replace(picture, pixels=picture.pixels + 1) for picture in pictures]

    outcomes = list(work(find_jobs([str(tmp_path)], suffix="-x"), process))
    assert [outcome.error for outcome in outcomes] == [None, None]
    assert counts == [4]
    found = read_pages(tmp_path / "a-x.tiff")
    assert [page.pixels[0, 0].tolist() for page in found] == [[n + 1, 1, 1] for n in range(3)]
    assert [page.size for page in found] == [(4, 4), (4, 5), (4, 6)]


@pytest.mark.parametrize(("source", "target"), [("GIF", "jpg"), ("TIFF", "png"), ("PNG", "tiff")])
def test_pages_that_a_format_does_not_hold_are_refused_before_the_work(
    tmp_path: Path, source: str, target: str
) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "green")]
    frames[0].save(tmp_path / "a", source, save_all=True, append_images=frames[1:])
    job = Job(source=tmp_path / "a", target=tmp_path / f"b.{target}")

    def never(pictures: Sequence[Picture]) -> list[Picture]:
        raise AssertionError

    (outcome,) = work([job], never)
    assert outcome.error is not None
    assert "error in caelab" not in outcome.error
    assert not (tmp_path / f"b.{target}").exists()


def test_the_limit_of_pixels_is_passed_on(folder: Path, tmp_path: Path) -> None:
    jobs = find_jobs([str(folder / "0.png")], output=str(tmp_path / "out"))
    assert [outcome.error is None for outcome in work(jobs, same, max_pixels=64)] == [True]
    jobs = find_jobs([str(folder / "1.png")], output=str(tmp_path / "out"))
    assert [outcome.error is None for outcome in work(jobs, same, max_pixels=62)] == [False]


def several(format_: str, count: int) -> bytes:
    stream = io.BytesIO()
    for number in range(count):
        Image.new("RGB", (7, 5), (number, 0, 0)).save(stream, format_)
    return stream.getvalue()


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF", "PPM", "WEBP"])
def test_several_pictures_in_one_pipe_are_refused(
    format_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=taken))
    for count, done in ((1, True), (2, False), (3, False)):
        content = several(format_, count)
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
        (outcome,) = work(find_jobs(["-"]), same)
        assert (outcome.error is None) is done
    result = "PNG" if format_ == "GIF" else format_
    assert taken.getvalue().count(several(result, 1)[:4]) == 1


def test_a_full_disk_behind_standard_output_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    job = Job(source=folder / "0.png", target=None)
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=SimpleNamespace(write=full)))
    (outcome,) = work([job], same)
    assert outcome.error is not None
    assert os.strerror(errno.ENOSPC) in outcome.error
    assert "error in caelab" not in outcome.error


def test_pictures_that_belong_to_another_are_no_second_ones() -> None:
    # A preview within the metadata, twice, and a second picture that the first one knows of.
    preview = several("JPEG", 2)
    exif = Image.Exif()
    exif[270] = "x"
    stream = io.BytesIO()
    Image.new("RGB", (7, 5)).save(stream, "JPEG", exif=exif.tobytes() + preview)
    assert not holds_several(stream.getvalue())
    assert holds_several(stream.getvalue() * 2)
    stream = io.BytesIO()
    two = [Image.new("RGB", (7, 5), color) for color in ("red", "green")]
    two[0].save(stream, "MPO", save_all=True, append_images=two[1:])
    assert not holds_several(stream.getvalue())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(several("PNG", 1),))
    writer.start()
    (outcome,) = work(find_jobs([str(pipe)], output=str(tmp_path / "a.png")), same)
    writer.join()
    assert outcome.error is None
    assert read_picture(tmp_path / "a.png").size == (5, 7)


def test_notes_of_reading_and_writing(tmp_path: Path) -> None:
    Image.new("CMYK", (4, 4)).save(tmp_path / "a.tiff")
    job = Job(source=tmp_path / "a.tiff", target=tmp_path / "a.jpg")

    def transparent(pictures: Sequence[Picture]) -> list[Picture]:
        return [
            Picture(pixels=p.pixels, alpha=np.zeros(p.size, np.uint8), notes=p.notes)
            for p in pictures
        ]

    (outcome,) = work([job], transparent)
    assert outcome.notes == (
        "CMYK without a usable profile was converted to RGB",
        "JPEG holds no transparency; the picture was put on white",
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
