"""A model in Python: pictures and batches of every form, and codes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import caelab
from caelab.color import luminance
from caelab.errors import InputError
from caelab.models.card import ModelCard
from caelab.models.image_model import ImageModel
from caelab.models.weights_file import save_model
from caelab.networks.build import build
from caelab.networks.parser import parse
from caelab.pictures import load as loaded
from caelab.pictures.load import Model


def make(file: Path, network: str, *, impair: str = "none", predict: str = "rgb") -> Model:
    gray = impair == "gray"
    mean = (0.4,) if gray else (0.4, 0.5, 0.6)
    card = ModelCard(
        network=network,
        degradation=impair,
        target=predict,
        color_space="ycbcr",
        channels=3,
        size=16,
        mean=mean,
        std=(0.25,) * len(mean),
        output_mean=(0.4, 0.5, 0.6),
        output_std=(0.2, 0.25, 0.3),
        data="nothing",
    )
    built = build(
        parse(network), channels=len(mean), size=16, generator=torch.Generator().manual_seed(0)
    )
    save_model(file, ImageModel.from_card(built, card), card)
    return caelab.load(file, device="cpu")


@pytest.fixture
def reconstructing(tmp_path: Path) -> Model:
    return make(tmp_path / "r.safetensors", "conv4 pool conv2 | up conv3")


@pytest.fixture
def colorizing(tmp_path: Path) -> Model:
    return make(
        tmp_path / "c.safetensors", "conv4 pool conv2 | up conv2", impair="gray", predict="chroma"
    )


def test_importing_caelab_is_light_and_load_is_there() -> None:
    script = (
        "import sys, caelab\nprint('torch' in sys.modules, 'numpy' in sys.modules)\n"
        "assert not hasattr(caelab, 'lode')\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert answer.stdout.split() == ["False", "False"]
    assert caelab.load is loaded.load


def test_a_batch_goes_through_as_it_is(reconstructing: Model) -> None:
    images = np.random.default_rng(0).random((3, 3, 16, 20), np.float32)
    with torch.inference_mode():
        expected = reconstructing.network.restore(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(reconstructing.restore(images), expected, atol=1e-6)
    np.testing.assert_allclose(
        reconstructing.decode(reconstructing.encode(images)), expected, atol=1e-6
    )
    eight = (images * 255).round().astype(np.uint8)
    np.testing.assert_allclose(
        reconstructing.restore(eight), reconstructing.restore(eight / 255), atol=1e-6
    )


@pytest.mark.parametrize(
    ("mode", "reconstructed", "colorized"),
    [
        ("L", "L", "RGB"),
        ("1", "L", "RGB"),
        ("RGB", "RGB", "RGB"),
        ("RGBA", "RGBA", "RGBA"),
        ("LA", "LA", "RGBA"),
        ("P", "RGB", "RGB"),
        ("CMYK", "RGB", "RGB"),
        ("I;16", "I;16", "RGB"),
    ],
)
def test_pillow_images_come_back_as_such(
    reconstructing: Model, colorizing: Model, mode: str, reconstructed: str, colorized: str
) -> None:
    image = (
        Image.new("I;16", (21, 13))
        if mode == "I;16"
        else Image.new("RGB", (21, 13), "red").convert(mode)
    )
    for model, expected in ((reconstructing, reconstructed), (colorizing, colorized)):
        made = model.restore(image)
        assert (made.mode, made.size) == (expected, (21, 13))


def test_arrays_keep_form_and_depth(reconstructing: Model, colorizing: Model) -> None:
    rng = np.random.default_rng(0)
    for depth in (np.uint8, np.uint16):
        for form in ((30, 41), (30, 41, 1), (30, 41, 2), (30, 41, 3), (30, 41, 4)):
            values = rng.integers(0, np.iinfo(depth).max, form).astype(depth)
            assert reconstructing.restore(values).shape == form
            assert reconstructing.restore(values).dtype == depth
    gray = rng.integers(0, 255, (30, 41)).astype(np.uint8)
    colored = colorizing.restore(gray)
    assert colored.shape == (30, 41, 3)
    assert np.abs(luminance(np.moveaxis(colored, -1, 0).astype(np.float32))[0] - gray).max() <= 0.51
    assert (colorizing.restore(gray, scales=(8, 16)) != colored).any()


def test_values_are_those_of_scikit_image(reconstructing: Model, colorizing: Model) -> None:
    values = np.random.default_rng(0).integers(0, 256, (30, 41, 3)).astype(np.uint8)
    expected = reconstructing.restore(values)
    for scale, dtype, tolerance in ((1, np.float64, 0), (257, np.uint16, 0), (1, np.float16, 1)):
        given = (values / 255).astype(dtype) if dtype != np.uint16 else values.astype(dtype) * scale
        found = reconstructing.restore(given)
        assert (found.dtype, found.shape) == (dtype, given.shape)
        levels = found / scale if dtype == np.uint16 else found.astype(np.float64) * 255
        assert np.abs(levels - expected).max() <= 0.52 + tolerance
    mask = values[..., 0] > 128
    white = colorizing.restore(mask)
    assert white.dtype == np.uint8
    assert np.array_equal(white, colorizing.restore(mask.astype(np.uint8) * 255))
    batch = np.moveaxis(values[None, :16, :16], -1, 1)
    same = reconstructing.restore(batch)
    for given in (batch.astype(np.uint16) * 257, batch / 255):
        np.testing.assert_allclose(reconstructing.restore(given), same, atol=1e-6)


def test_images_of_any_size_have_a_code(reconstructing: Model, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (17, 9, 3)).astype(np.uint8)
    code = reconstructing.encode(values)
    assert code.shape == (1, 2, 9, 5)
    # The last row and column are there twice.
    larger = np.pad(values, [(0, 1), (0, 1), (0, 0)], mode="edge")
    np.testing.assert_array_equal(code, reconstructing.encode(larger))
    batch = np.moveaxis(values, -1, 0)[None].repeat(2, axis=0)
    np.testing.assert_allclose(reconstructing.encode(batch), code.repeat(2, axis=0), rtol=1e-5)
    assert reconstructing.decode(code).shape == (1, 3, 18, 10)


def test_a_pillow_image_keeps_its_metadata_upright(reconstructing: Model) -> None:
    image = Image.new("RGB", (21, 13), "red")
    exif = Image.Exif()
    exif[0x0112], exif[315] = 6, "somebody"
    image.info |= {"exif": exif.tobytes(), "dpi": (300, 300), "transparency": (1, 2, 3)}
    made = reconstructing.restore(image)
    assert made.size == (13, 21)
    assert made.info["dpi"] == (300, 300)
    assert "transparency" not in made.info
    kept = Image.Exif()
    kept.load(made.info["exif"])
    assert dict(kept) == {315: "somebody"}


def test_models_of_gray_are_given_the_luma(colorizing: Model) -> None:
    color = np.random.default_rng(0).random((2, 3, 16, 16), np.float32)
    gray = luminance(color)
    np.testing.assert_allclose(colorizing.restore(color), colorizing.restore(gray), atol=1e-6)
    assert colorizing.encode(color).shape == (2, 2, 8, 8)
    assert colorizing.encode(Image.new("RGB", (16, 16))).shape == (1, 2, 8, 8)


def test_what_does_not_fit_is_said(
    reconstructing: Model, colorizing: Model, tmp_path: Path
) -> None:
    for images, message in (
        (
            np.zeros((2, 3, 15, 16), np.float32),
            "sides that are multiples of 2, not with 15×16 pixels",
        ),
        (
            np.zeros((2, 2, 16, 16), np.float32),
            r"a batch of images has the shape \(N, 1 or 3, H, W\)",
        ),
        (np.zeros((2, 3, 16, 16), np.int64), "which value is white in images of int64"),
        (np.zeros((16, 16, 3), np.int32), "which value is white in images of int32"),
        (np.full((16, 16, 3), 200.0), "images of floats must be in"),
        (np.full((2, 3, 16, 16), np.nan, np.float32), "images of floats must be in"),
        (np.zeros(16, np.uint8), r"this is uint8 \(16,\)"),
        (np.zeros((16, 16, 5), np.uint8), r"\(16, 16, 5\)"),
    ):
        with pytest.raises(InputError, match=message):
            reconstructing.restore(images)
    with pytest.raises(InputError, match=r"codes of shape \(1, 3, 8, 8\) do not fit the network"):
        reconstructing.decode(np.zeros((1, 3, 8, 8), np.float32))
    with pytest.raises(InputError, match="no image without the luma"):
        colorizing.decode(np.zeros((1, 2, 8, 8), np.float32))
    fixed = make(tmp_path / "d.safetensors", "conv2k4s4 dense4:none | dense4h4w4 up4 conv3")
    with pytest.raises(
        InputError, match="takes batches of images with 16×16 pixels, not with 20×20"
    ):
        fixed.restore(np.zeros((1, 3, 20, 20), np.float32))
    (tmp_path / "m.onnx").touch()
    with pytest.raises(InputError, match="is an ONNX file"):
        caelab.load(tmp_path / "m.onnx")
    undivided = make(tmp_path / "u.safetensors", "conv4 [pool conv4 | up] conv3")
    with pytest.raises(InputError, match="cannot be split"):
        undivided.encode(np.zeros((1, 3, 16, 16), np.float32))
