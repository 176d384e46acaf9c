"""Which pictures are meant, and where their results go."""

import importlib.util
import os
import re
from pathlib import Path

import pytest
from PIL import Image

from caelab.errors import InputError
from caelab.pictures.inputs import Job, find_jobs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory: in/{a.png, b.JPG, notes.txt, .hidden.png, deep/c.gif,
    deep/deeper/a.png}."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "in"
    (root / "deep" / "deeper").mkdir(parents=True)
    for name in ("a.png", "b.JPG", "notes.txt", ".hidden.png", "deep/c.gif", "deep/deeper/a.png"):
        (root / name).touch()
    return root


def named(jobs: list[Job]) -> dict[str, str]:
    return {str(job.source): str(job.target) for job in jobs}


def test_a_result_lies_beside_its_source(folder: Path) -> None:
    assert named(find_jobs(["in/a.png", "in/deep/c.gif"], suffix="-x")) == {
        "in/a.png": "in/a-x.png",
        "in/deep/c.gif": "in/deep/c-x.png",
    }


def test_folders(folder: Path) -> None:
    assert named(find_jobs(["in"], suffix="-x")) == {
        "in/a.png": "in/a-x.png",
        "in/b.JPG": "in/b-x.JPG",
    }
    assert named(find_jobs(["in"], output="out", recursive=True)) == {
        "in/a.png": "out/a.png",
        "in/b.JPG": "out/b.JPG",
        "in/deep/c.gif": "out/deep/c.png",
        "in/deep/deeper/a.png": "out/deep/deeper/a.png",
    }


def test_results_of_an_earlier_call_are_no_sources(folder: Path) -> None:
    for job in find_jobs(["in"], suffix="-x"):
        assert job.target is not None
        job.target.touch()
    assert set(named(find_jobs(["in"], suffix="-x"))) == {"in/a.png", "in/b.JPG"}
    assert set(named(find_jobs(["in/*"], suffix="-x"))) == {"in/a.png", "in/b.JPG"}
    assert named(find_jobs(["in/a-x.png"], suffix="-x")) == {
        "in/a-x.png": "in/a-x-x.png"
    }  # asked for by name
    # Named by itself and found in the folder: it is not skipped.
    assert "in/a-x.png" in named(find_jobs(["in", "in/a-x.png"], suffix="-x"))
    for name in ("in/*-x.png", "in/*-x.*"):
        with pytest.raises(InputError, match="are results of an earlier call"):
            find_jobs([name], suffix="-x")
    (folder / "out").mkdir()
    (folder / "out" / "z.png").touch()
    assert "in/out/z.png" not in named(find_jobs(["in"], output="in/out", recursive=True))
    assert "in/out/z.png" not in named(find_jobs(["in/**/*.png"], output="in/out"))
    assert named(find_jobs(["in/out/z.png"], output="in/out")) == {"in/out/z.png": "in/out/z.png"}
    assert named(find_jobs(["in/out"], output="in/out")) == {"in/out/z.png": "in/out/z.png"}


def test_patterns(folder: Path) -> None:
    assert named(find_jobs(["in/*.png"], output="out")) == {"in/a.png": "out/a.png"}
    assert named(find_jobs(["in/**/*.png"], output="out")) == {
        "in/a.png": "out/a.png",
        "in/deep/deeper/a.png": "out/deep/deeper/a.png",
    }
    (folder / "a[1].png").touch()  # a file that is there is no pattern
    assert named(find_jobs(["in/a[1].png"], output="out")) == {"in/a[1].png": "out/a[1].png"}
    assert named(find_jobs([str(folder / "*.png")], output="out", suffix="")).keys() == {
        str(folder / "a.png"), str(folder / "a[1].png"),
    }  # fmt: skip


def test_patterns_under_folders_whose_names_look_like_patterns(folder: Path) -> None:
    for name in ("in[1]/a.png", "in[1]/b*/a.png", "in1/a.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    assert named(find_jobs(["in[1]/*.png"], output="out")) == {"in[1]/a.png": "out/a.png"}
    assert named(find_jobs(["in[1]/b*/*.png"], output="out")) == {"in[1]/b*/a.png": "out/a.png"}
    both = find_jobs(["in[1]/**/*.png"], output="out")
    assert named(both) == {"in[1]/a.png": "out/a.png", "in[1]/b*/a.png": "out/b*/a.png"}
    # A pattern where no such folder is.
    assert set(named(find_jobs(["in[12]/*.png"], output="out"))) == {"in1/a.png"}


def test_other_files_of_a_folder_are_counted(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    for name in ("README", "b.txt", "a.HEIC", "b.heic", "c.jxl"):
        (folder / name).touch()
    assert len(find_jobs(["in"], output="out")) == 2
    (message,) = caplog.messages
    # The one that is hidden is not counted.
    assert re.findall(r"\d+ \.?\w+", message.split("To read")[0].split(":")[1]) == [
        "1 without", "2 .heic", "1 .jxl", "2 .txt",
    ]  # fmt: skip
    assert "pip install" in message
    caplog.clear()
    find_jobs(["in/*"], output="out")
    assert caplog.messages == [message]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_read_as_standard_input_is(folder: Path) -> None:
    os.mkfifo("pipe")
    assert find_jobs(["pipe"]) == [Job(source=Path("pipe"), target=None)]
    assert find_jobs(["pipe"], output="x.png") == [Job(source=Path("pipe"), target=Path("x.png"))]
    assert find_jobs(["in/a.png"], output="/dev/stdout")[0].target is None
    assert find_jobs(["pipe"])[0].is_stream
    with pytest.raises(InputError):
        find_jobs(["pipe", "in/a.png"], output="out")


@pytest.mark.parametrize(
    ("name", "format_", "expected"),
    [
        ("a.jpg_large", "JPEG", "a-x.jpg"),
        ("a.heic", "JPEG", "a-x.jpg"),
        ("a.jxl", "PNG", "a-x.png"),
        ("a", "WEBP", "a-x.webp"),
        ("a.gif", "GIF", "a-x.png"),
        ("a.dat", "GIF", "a-x.png"),
        # Its result is a PNG, as its name says.
        ("a.png", "JPEG", "a-x.png"),
        ("a.JPEG", "JPEG", "a-x.JPEG"),
        ("a.pgm", "PPM", "a-x.pnm"),
        ("a.pbm", "PPM", "a-x.pnm"),
    ],
)
def test_a_result_is_named_after_what_is_in_the_picture(
    folder: Path, name: str, format_: str, expected: str
) -> None:
    Image.new("RGB", (5, 4)).save(name, format_)
    assert named(find_jobs([name], suffix="-x")) == {name: expected}


def test_a_heic_is_recognized_without_its_package(folder: Path) -> None:
    Path("a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    Path("b.bin").write_bytes(b"\xff\x0a and so on")
    assert set(named(find_jobs(["a.heic", "b.bin"], suffix="-x")).values()) == {
        "a-x.heic", "b-x.jxl",
    }  # fmt: skip


@pytest.mark.parametrize("output", ["x.jxl", "x.heic"])
def test_a_format_that_needs_a_package_says_so(
    folder: Path, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"install pillow-(heif|jxl-plugin): pip install"):
        find_jobs(["in/a.png"], output=output)


@pytest.mark.parametrize("output", ["x.gif", "x.pdf", "x.TGA"])
@pytest.mark.parametrize("inputs", [["in/a.png"], ["-"], ["in"]])
def test_a_file_that_is_not_written_is_no_folder(
    folder: Path, inputs: list[str], output: str
) -> None:
    with pytest.raises(InputError, match="are not written as"):
        find_jobs(inputs, output=output)
    Path(output).mkdir()
    assert find_jobs(["in"], output=output)[0].target == Path(output, "a.png")


def test_names_that_no_file_can_have(folder: Path) -> None:
    for name in ("x" * 300 + ".png", "a\0.png"):
        with pytest.raises(InputError, match="there is no"):
            find_jobs([name])


def test_one_file_to_one_file(folder: Path) -> None:
    assert named(find_jobs(["in/a.png"], output="out.tiff")) == {"in/a.png": "out.tiff"}
    Path("folder.png").mkdir()
    assert named(find_jobs(["in/a.png"], output="folder.png")) == {"in/a.png": "folder.png/a.png"}
    with pytest.raises(
        InputError, match=r"2 pictures cannot go to the one file out\.png\. Name a folder\."
    ):
        find_jobs(["in"], output="out.png")


def test_standard_input_and_output(folder: Path) -> None:
    assert find_jobs(["-"]) == [Job(source=None, target=None)]
    assert find_jobs(["-"], output="-") == [Job(source=None, target=None)]
    assert find_jobs(["-"], output="x.png") == [Job(source=None, target=Path("x.png"))]
    assert find_jobs(["in/a.png"], output="-") == [Job(source=Path("in/a.png"), target=None)]
    assert Job(source=None, target=None).name == "standard input"
    with pytest.raises(InputError, match="exactly one picture"):
        find_jobs(["-", "in/a.png"])
    with pytest.raises(
        InputError, match="only one picture goes to standard output, and in is no file"
    ):
        find_jobs(["in"], output="-")


def test_the_same_picture_twice_is_one(folder: Path) -> None:
    assert len(find_jobs(["in/a.png", "in/a.png"])) == 1
    again = ["in/../in/a.png", str(folder / "a.png"), "in/*.png", "in"]
    assert named(find_jobs(["in/a.png", *again], suffix="-x")) == {
        "in/a.png": "in/a-x.png",
        "in/b.JPG": "in/b-x.JPG",
    }
    # The file was named by itself, so its result does not go to a subfolder, whatever the order.
    for inputs in (["in", "in/deep/c.gif"], ["in/deep/c.gif", "in"]):
        targets = named(find_jobs(inputs, output="out", recursive=True))
        assert targets["in/deep/c.gif"] == "out/c.png"
        assert len(targets) == 4
    assert len(find_jobs(["in", "in/deep"], output="out", recursive=True)) == 4


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            ["in/a.png", "in/deep/deeper/a.png"],
            "in/a.png and in/deep/deeper/a.png would both be written to out/a.png",
        ),
        (["in/a.png", "in/A.PNG"], "in/a.png and in/A.PNG would both be written to out/A.PNG"),
        (["in/d.gif", "in/d.png"], "in/d.gif and in/d.png would both be written to out/d.png"),
    ],
)
def test_two_sources_never_have_one_result(folder: Path, inputs: list[str], message: str) -> None:
    for name in inputs:
        Path(name).touch()
    with pytest.raises(InputError) as caught:
        find_jobs(inputs, output="out")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (["in/none.png"], {}, r"there is no file or folder in/none\.png"),
        (["in/*.bmp"], {}, r"no file matches in/\*\.bmp"),
        (
            ["in/deep/deeper"],
            {"suffix": ""},
            "`suffix` must not be empty",
        ),
        (["empty"], {}, r"no pictures in empty; known suffixes are \.avif \.bmp"),
        (["in/no\nthing"], {}, r"there is no file or folder in/no\\nthing"),
    ],
)
def test_what_is_not_there_is_said(
    folder: Path, inputs: list[str], options: dict[str, str], message: str
) -> None:
    Path("empty").mkdir()
    with pytest.raises(InputError, match=message):
        find_jobs(inputs, **options)  # type: ignore[arg-type]


def test_loops_of_links_end(folder: Path) -> None:
    (folder / "deep" / "again").symlink_to(folder)
    (folder / "deep" / "self").symlink_to(folder / "deep" / "self")
    (folder / "other").symlink_to(folder / "deep")
    found = [job.source for job in find_jobs(["in"], recursive=True)]
    assert len({os.path.realpath(path) for path in found if path}) == len(found) == 4


def test_earlier_results_are_no_sources(folder: Path) -> None:
    before = find_jobs(["in"], suffix="-colorized", recursive=True)
    for job in before:
        for made in (
            job.target,
            job.comparison,
            job.numbered(2).target,
            job.numbered(12).comparison,
        ):
            assert made
            made.touch()
    assert find_jobs(["in"], suffix="-colorized", recursive=True) == before
    assert len(find_jobs(["in"], output="elsewhere", recursive=True)) == 5 * len(before)


def test_a_file_is_no_folder_for_results(folder: Path) -> None:
    Path("notes.txt").touch()
    with pytest.raises(InputError, match=r"notes\.txt is a file"):
        find_jobs(["in"], output="notes.txt")


def test_results_may_go_into_the_folder_around_the_pictures(tmp_path: Path) -> None:
    inner = tmp_path / "in"
    inner.mkdir()
    Image.new("L", (2, 2)).save(inner / "a.png")
    (job,) = find_jobs([str(inner)], output=str(tmp_path))
    assert (job.source, job.target) == (inner / "a.png", tmp_path / "a.png")
