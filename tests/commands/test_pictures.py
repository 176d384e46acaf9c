"""The picture commands: what people type, and what they are told."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from caelab.color import luminance
from caelab.models.card import ModelCard
from caelab.models.color_bins import ColorBins
from caelab.models.image_model import ImageModel
from caelab.models.weights_file import save_model
from caelab.networks.build import build
from caelab.networks.parser import parse
from caelab.pictures import model_files

CARD = ModelCard(
    network="conv4 pool conv2 | up conv3",
    degradation="none",
    target="rgb",
    color_space="ycbcr",
    channels=3,
    size=16,
    mean=(0.0,) * 3,
    std=(1.0,) * 3,
    output_mean=(0.0,) * 3,
    output_std=(1.0,) * 3,
    data="nothing",
)
CHROMA = replace(
    CARD,
    network="conv4 pool conv2 | up conv2",
    degradation="gray",
    target="chroma",
    mean=(0.0,),
    std=(1.0,),
)
CELLS = tuple((first, second) for first in (-3, 0, 3) for second in (-3, 0, 3))


Caelab = Callable[..., subprocess.CompletedProcess[str]]


def put(file: Path, card: ModelCard) -> Path:
    generator = torch.Generator().manual_seed(0)
    network = build(
        parse(card.network), channels=len(card.mean), size=card.size, generator=generator
    )
    file.parent.mkdir(exist_ok=True)
    save_model(file, ImageModel.from_card(network, card), card)
    return file


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that ship, untrained."""
    folder = tmp_path_factory.mktemp("shelf")
    cards = {
        "reference": CARD,
        "colorize": CHROMA,
        "colorful": replace(
            CHROMA,
            network="conv4 conv9",
            target="bins",
            bins=ColorBins(cells=CELLS, frequencies=(1 / 9,) * 9, rebalance=0.5, temperature=0.38),
        ),
        "denoise": replace(CARD, degradation="noise0.1"),
        "sharpen": replace(CARD, degradation="blur1.5"),
    }
    for name, card in cards.items():
        put(folder / f"{name}.safetensors", card)
        told = {
            "degradation": card.degradation,
            "target": card.target,
            "network": card.network,
            "weights": 243,
            "test": {"psnr_of_mean": 24.5},
            "baselines": {"pca-128": {"psnr_of_mean": 27.25}, "copy": {"psnr_of_mean": 20.0}},
        }
        (folder / f"{name}.json").write_text(json.dumps(told))
    return folder


@pytest.fixture
def place(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a folder of pictures, one of them broken, and a gray one."""
    monkeypatch.setattr(model_files, "FOLDER", shelf)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("a.png", "b.png", "deep/c.png"):
        Image.fromarray(rng.integers(60, 200, (20, 26, 3)).astype(np.uint8)).save(
            tmp_path / "in" / name
        )
    Image.fromarray(rng.integers(60, 200, (20, 26)).astype(np.uint8)).save(tmp_path / "gray.png")
    return tmp_path


def read(file: Path | str) -> np.ndarray:
    with Image.open(file) as opened:
        return np.asarray(opened)


def files() -> list[str]:
    return sorted(
        str(path) for path in Path().rglob("*") if path.is_file() and path.suffix == ".png"
    )


def test_a_folder_is_colorized_and_one_bad_file_does_not_stop_it(
    caelab: Caelab, place: Path
) -> None:
    (place / "in" / "broken.png").write_bytes(b"nothing")
    answer = caelab("colorize", "in", "-r", "-o", "out", "--threads", 1)
    assert answer.returncode == 1
    assert answer.stdout.splitlines() == ["out/a.png", "out/b.png", "out/deep/c.png"]
    assert answer.stderr.splitlines()[0].startswith(
        "failed: in/broken.png is not a picture that can be read"
    )
    assert answer.stderr.splitlines()[-1] == "1 of 4 pictures failed"
    assert len(answer.stderr.splitlines()) == 2
    for name in ("a.png", "b.png", "deep/c.png"):
        before, after = (
            luminance(np.moveaxis(read(f"{folder}/{name}"), -1, 0).astype(np.float32))
            for folder in ("in", "out")
        )
        assert np.abs(before - after).max() <= 0.51
    again = caelab("colorize", "in", "-r", "-o", "out", "--json")
    assert again.returncode == 1
    told = json.loads(again.stdout)
    assert told["failed"] == 4
    assert told["pictures"][0]["error"] == "out/a.png exists already; --force overwrites it."
    assert told["pictures"][0]["target"] is None
    (place / "in" / "broken.png").unlink()
    assert caelab("colorize", "in", "-r", "-o", "out", "--force").returncode == 0


def test_one_result_lies_beside_its_picture(caelab: Caelab, place: Path) -> None:
    for command, suffix in (
        ("denoise", "denoised"),
        ("reconstruct", "reconstructed"),
        ("colorize", "colorized"),
    ):
        answer = caelab(command, "gray.png")
        assert (answer.returncode, answer.stdout, answer.stderr) == (0, f"gray-{suffix}.png\n", "")
        assert read(f"gray-{suffix}.png").shape == (
            (20, 26, 3) if command == "colorize" else (20, 26)
        )
    assert (
        caelab("restore", "gray.png", "--degradation", "blur1.5", "--suffix", "-x").stdout
        == "gray-x.png\n"
    )


def test_truth_is_measured_where_it_is_known(caelab: Caelab, place: Path) -> None:
    answer = caelab("colorize", "in/a.png", "gray.png", "-o", "out", "--compare", "--json")
    colored, gray = json.loads(answer.stdout)["pictures"]
    assert colored["comparison"] == "out/a-compare.png"
    truth, result = (read(file) / 255 for file in ("in/a.png", "out/a.png"))
    assert colored["metrics"]["psnr"] == pytest.approx(
        -10 * np.log10(np.square(truth - result).mean()), abs=1e-3
    )
    assert set(colored["metrics"]) == {"psnr", "ciede2000"}
    assert gray["metrics"] == {}
    assert Path("out/gray-compare.png").is_file()
    assert (
        read("out/a-compare.png").shape[1] > read("out/gray-compare.png").shape[1]
    )  # the truth is a third panel

    plain = caelab("reconstruct", "in/a.png", "--compare")
    result, comparison = plain.stdout.splitlines()
    assert result.startswith("in/a-reconstructed.png  PSNR ")
    assert comparison == "in/a-reconstructed-compare.png"
    assert (
        json.loads(caelab("denoise", "in/b.png", "--compare", "--json").stdout)["pictures"][0][
            "metrics"
        ]
        == {}
    )
    taken = caelab("reconstruct", "in/a.png", "-o", "in/other.png", "--compare")
    assert taken.returncode == 0
    Path("in/other.png").unlink()
    taken = caelab("reconstruct", "in/a.png", "-o", "in/other.png", "--compare")
    assert taken.returncode == 1  # other-compare.png is there
    assert not Path("in/other.png").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("denoise", "--model", "colorize"),
            "the model colorize cannot denoise pictures: it was ",
        ),
        (
            ("denoise", "--model", "colorize"),
            "trained with the degradation gray. Use it with `caelab colorize`, or name",
        ),
        (("colorize", "--model", "denoise"), "Use it with `caelab denoise`"),
        (("reconstruct", "--model", "sharpen"), "Use it with `caelab restore`"),
        (("restore", "--model", "reference"), "Use it with `caelab reconstruct`"),
        (
            ("restore", "--model", "sharpen", "--degradation", "blur2"),
            "the model sharpen undoes blur1.5, not blur2",
        ),
        (("restore",), "say what was done to the pictures, such as --degradation"),
        (
            ("restore", "--degradation", "jpeg20"),
            "no model ships for --degradation jpeg20 (there are models for: blur1.5, noise",
        ),
        (
            ("restore", "--degradation", "gray"),
            "pictures with --degradation gray are for `caelab colorize`",
        ),
        (("restore", "--degradation", "mask0.2"), "no model ships for --degradation mask0.2"),
        (("restore", "--degradation", "smudge"), "smudge"),
        (
            ("colorize", "--model", "colourize"),
            "there is no model 'colourize'. Did you mean colorize",
        ),
        (("colorize", "--model", "in"), "in is no finished run: it holds no weights.safetensors"),
        (("colorize", "--model", "gray.png"), "cannot read weights from gray.png"),
        (
            ("colorize", "--scale", "32,x"),
            "--scale 32,x: give whole numbers of pixels from 1 to 1024",
        ),
        (("colorize", "--scale", "0"), "--scale 0"),
        (
            ("colorize", "--variants", "2"),
            "this model has only one answer for an image: variants need a model with the target",
        ),
        (
            ("colorize", "--runtime", "onnx"),
            "colorize has no ONNX file next to its weights. Make one by `caelab export",
        ),
        (("denoise", "-o", "notes.txt"), "notes.txt is a file without a picture's suffix"),
        (("denoise", "-o", "-"), "only one picture goes to standard output, and in is no file"),
        (("denoise", "--suffix", ""), "--suffix must not be empty"),
        (("denoise", "nothing.png"), "there is no file or folder nothing.png"),
        (("denoise", "-o", "one.png"), "2 pictures cannot go to the one file one.png"),
    ],
)
def test_wrong_use_is_said_before_any_work(
    caelab: Caelab, place: Path, arguments: tuple[str, ...], said: str
) -> None:
    (place / "notes.txt").touch()
    before = files()
    answer = caelab(arguments[0], "in", *arguments[1:])
    assert answer.returncode == 2
    assert said in answer.stderr
    assert answer.stderr.startswith("error: ")
    assert answer.stdout == ""
    assert files() == before


def test_weights_that_are_not_finite_are_said(caelab: Caelab, place: Path) -> None:
    file = put(place / "nan.safetensors", CHROMA)
    tensors = load_file(file)
    next(iter(tensors.values())).view(-1)[0] = torch.nan
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    save_file(tensors, file, metadata=metadata)
    answer = caelab("colorize", "in", "--model", file)
    assert answer.returncode == 2
    assert (
        "some weights are not finite numbers; the file is damaged or its training diverged"
        in answer.stderr
    )


def test_variants_differ_and_come_again(caelab: Caelab, place: Path) -> None:
    answer = caelab("colorize", "gray.png", "--model", "colorful", "--variants", 3, "--seed", 5)
    names = [f"gray-colorized-{number}.png" for number in (1, 2, 3)]
    assert answer.stdout.splitlines() == names
    drawn = [read(name) for name in names]
    assert all((drawn[a] != drawn[b]).any() for a, b in ((0, 1), (0, 2), (1, 2)))
    alone = caelab(
        "colorize",
        "gray.png",
        "in",
        "--model",
        "colorful",
        "--variants",
        2,
        "--seed",
        5,
        "-o",
        "out",
    )
    assert alone.returncode == 0
    assert [(read(f"out/gray-{number}.png") == drawn[number - 1]).all() for number in (1, 2)] == [
        True,
        True,
    ]
    assert (
        caelab(
            "colorize", "gray.png", "--model", "colorful", "--variants", 1, "--seed", 6, "--force"
        ).returncode
        == 0
    )
    assert (read(names[0]) != drawn[0]).any()


def test_what_cannot_be_written_fails_and_leaves_nothing(
    caelab: Caelab, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "exists already" in caelab("denoise", "gray.png", "-o", "in/a.png").stderr
    answer = caelab("denoise", "gray.png", "-o", "x.gif")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "x.gif" in answer.stderr

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(Path, "touch", refuse)
    before = files()
    answer = caelab("denoise", "in", "-r")
    assert answer.returncode == 1
    assert (
        answer.stderr.splitlines()[0]
        == "failed: cannot write in/a-denoised.png: Permission denied. Choose another folder, or"
        " make it writable."
    )
    assert answer.stderr.splitlines()[-1] == "3 of 3 pictures failed"
    assert files() == before


def test_standard_input_and_output(
    caelab: Caelab, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def streams(content: bytes) -> io.BytesIO:
        taken = io.BytesIO()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(taken, write_through=True))
        return taken

    taken = streams(Path("gray.png").read_bytes())
    assert caelab("colorize", "-").returncode == 0
    assert read(io.BytesIO(taken.getvalue())).shape == (20, 26, 3)  # type: ignore[arg-type]
    streams(b"nothing")
    answer = caelab("colorize", "-")
    assert answer.returncode == 1
    assert answer.stderr.startswith("failed: standard input is not a picture that can be read")
    for flag in ("--json", "--compare"):
        streams(b"")
        answer = caelab("colorize", "-", flag)
        assert answer.returncode == 2
        assert f"{flag} does not go with a picture on standard output" in answer.stderr
    streams(b"")
    assert (
        "standard input can be read"
        in caelab("colorize", "-", "-o", "x.png", "--variants", 2).stderr
    )
    streams(b"")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "a picture would go to the terminal" in caelab("colorize", "-").stderr


def test_models_are_listed_and_shown(caelab: Caelab, place: Path) -> None:
    lines = caelab("models").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [
        "colorful",
        "colorize",
        "denoise",
        "reference",
        "sharpen",
    ]
    assert lines[2].split()[1:7] == ["gray", "chroma", "24.50", "27.25", "pca-128", "243"]
    assert json.loads(caelab("models", "--json").stdout)["sharpen"]["degradation"] == "blur1.5"
    assert json.loads(caelab("models", "sharpen").stdout)["degradation"] == "blur1.5"
    answer = caelab("models", "sharpn")
    assert answer.returncode == 2
    assert "Did you mean sharpen?" in answer.stderr
    assert caelab("models", "gray.png").returncode == 2
    assert "is not a finished run" in caelab("models", "--add", "in", "new").stderr


def test_a_model_is_exported_and_needs_no_torch_then(caelab: Caelab, place: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    answer = caelab("export", "colorize", "c.onnx", "--json")
    assert answer.returncode == 0
    told = json.loads(answer.stdout)
    assert told["difference"] < 1e-4
    assert told["bytes"] == Path("c.onnx").stat().st_size
    assert "c.onnx exists already" in caelab("export", "colorize", "c.onnx").stderr
    assert "should end in .onnx" in caelab("export", "colorize", "c.txt").stderr
    assert "is an ONNX file already" in caelab("export", "c.onnx", "d.onnx").stderr
    assert "no model 'colorise'" in caelab("export", "colorise", "d.onnx").stderr

    caelab("colorize", "gray.png", "-o", "torch.png")
    script = (
        "import sys\nfrom caelab.cli import main\ntry: main()\nfinally: print('torch' in"
        " sys.modules)"
    )
    arguments = ["colorize", "gray.png", "-o", "onnx.png", "--compare", "--model", "c.onnx"]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.splitlines() == ["onnx.png", "onnx-compare.png", "False"]
    assert np.abs(read("onnx.png").astype(int) - read("torch.png")).max() <= 1

    several = caelab("colorize", "gray.png", "--model", "c.onnx", "--variants", 2)
    assert several.returncode == 2
    assert "gives only one result for a picture" in several.stderr
    assert (
        "PyTorch does not run"
        in caelab("colorize", "gray.png", "--model", "c.onnx", "--runtime", "torch").stderr
    )
    assert (
        "Use it with `caelab colorize`" in caelab("denoise", "gray.png", "--model", "c.onnx").stderr
    )
    Path("c.onnx").write_bytes(Path("c.onnx").read_bytes()[:300])
    damaged = caelab("colorize", "gray.png", "--model", "c.onnx")
    assert damaged.returncode == 2
    assert "c.onnx is not an ONNX model, or it is damaged" in damaged.stderr


def test_a_denoised_picture_gets_a_share_of_the_change(caelab: Caelab, place: Path) -> None:
    results = []
    for strength in ("0", "0.5", "1", "auto"):
        assert caelab("denoise", "in/a.png", "-o", "out", "--strength", strength).returncode == 0
        results.append(read("out/a.png").astype(float))
        Path("out/a.png").unlink()
    np.testing.assert_array_equal(results[0], read("in/a.png"))
    np.testing.assert_allclose(results[1], (results[0] + results[2]) / 2, atol=1)
    for wrong in ("2", "much", "nan"):
        answer = caelab("denoise", "in/a.png", "-o", "out", "--strength", wrong)
        assert answer.returncode == 2
        assert wrong in answer.stderr


def test_a_mask_says_what_is_filled(caelab: Caelab, place: Path) -> None:
    put(place / "fill.safetensors", replace(CARD, degradation="mask0.25"))
    mask = np.zeros((20, 26), np.uint8)
    mask[5:9, 3:7] = 255
    Image.fromarray(mask).save("holes.png")
    words = ("restore", "in/a.png", "--model", "fill.safetensors", "-o", "out")
    assert caelab(*words, "--mask", "holes.png").returncode == 0
    changed = (read("out/a.png") != read("in/a.png")).any(axis=2)
    assert changed.any()
    assert not changed[mask == 0].any()
    assert caelab(*words, "--force").returncode == 1  # nothing is transparent
    assert caelab(*words, "--mask", "nothing.png").returncode == 2
