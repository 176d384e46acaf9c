"""What the tests of pictures share: color profiles, a scene, and models whose answers are known."""

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from caelab.pictures.backends.base import Geometry, PictureModel


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A minimal ICC profile, version 2.1."""
    body, table = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    rest = struct.pack(">I", len(tags)) + table + body
    header = struct.pack(
        ">I4sI4s4s4s12x4s", 128 + len(rest), b"", 0x02100000, b"mntr", space, b"XYZ ", b"acsp"
    )
    header = header.ljust(64, b"\0") + bytes(4) + _fixed(0.9642, 1, 0.8249)
    return header.ljust(128, b"\0") + rest


def _curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))


def _xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*values)


_TEXT = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(12 + 67)
_COMMON = {
    b"desc": _TEXT,
    b"cprt": b"text" + bytes(4) + b"none\0",
    b"wtpt": _xyz(0.9642, 1, 0.8249),
}


@pytest.fixture(scope="session")
def wide_profile() -> bytes:
    """Adobe RGB (1998), but for its name: gamma 2.2, primaries adapted to D50."""
    primaries = {
        b"rXYZ": _xyz(0.60974, 0.31111, 0.01947),
        b"gXYZ": _xyz(0.20528, 0.62567, 0.06087),
        b"bXYZ": _xyz(0.14919, 0.06322, 0.74457),
    }
    return _profile(
        b"RGB ",
        {**_COMMON, **primaries, **{name: _curve(2.2) for name in (b"rTRC", b"gTRC", b"bTRC")}},
    )


@pytest.fixture(scope="session")
def linear_gray_profile() -> bytes:
    """Gray values proportional to light."""
    return _profile(b"GRAY", {**_COMMON, b"kTRC": _curve(1.0)})


@pytest.fixture(scope="session")
def scene() -> NDArray[np.uint8]:
    """A colored picture, uint8 (90, 130, 3): a gradient, two disks with sharp edges, some noise."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:90, 0:130]
    rgb = np.stack([90 + x, 160 - y, 80 + (x + y) / 3], -1).astype(float)
    rgb[(y - 40) ** 2 + (x - 40) ** 2 < 500] = (200, 60, 40)
    rgb[(y - 60) ** 2 + (x - 95) ** 2 < 400] = (30, 60, 130)
    return np.clip(rgb + rng.normal(0, 3, rgb.shape), 0, 255).round().astype(np.uint8)


@pytest.fixture
def tinting() -> PictureModel:
    """A colorizer that knows one color: Cb 0.08, Cr −0.11 everywhere."""

    def function(images: NDArray[np.float32]) -> NDArray[np.float32]:
        assert images.dtype == np.float32
        assert images.shape[1] == 1
        planes = np.array([0.08, -0.11], np.float32).reshape(1, 2, 1, 1)
        return np.broadcast_to(planes, (len(images), 2, *images.shape[2:]))

    geometry = Geometry(multiple=4, field=1)
    return PictureModel(function=function, channels=1, geometry=geometry, color_space="ycbcr")


@pytest.fixture
def gray_ramp() -> Image.Image:
    """All 256 grays, 16×16."""
    return Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))


@pytest.fixture(scope="session")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a finished run of a second: a reconstruction of 16×16 pictures."""
    from caelab.experiments.config import RunConfig
    from caelab.experiments.run import run as train

    config = RunConfig().replace(
        network="conv4 pool conv2 | up conv3",
        data=str(pictures),
        size=16,
        batch_size=32,
        epochs=1,
        optimizer="adam",
    )
    return train(config, runs=tmp_path_factory.mktemp("runs")).path
