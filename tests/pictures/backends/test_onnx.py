"""An exported model gives what PyTorch gives, for any size, where there is no torch."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from caelab.color import SPACES, merge
from caelab.errors import InputError
from caelab.models.card import ModelCard
from caelab.models.image_model import ImageModel
from caelab.models.tta import TTA
from caelab.networks.build import build
from caelab.networks.parser import parse
from caelab.pictures import export
from caelab.pictures.backends.base import Geometry
from caelab.pictures.backends.onnx import FORMAT, load_onnx
from caelab.pictures.backends.torch import torch_picture_model
from caelab.pictures.colorize import colorize
from caelab.pictures.encode import encode
from caelab.pictures.export import TOLERANCE, export_onnx
from caelab.pictures.picture import Picture

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

COLORIZER = ModelCard(
    network="conv4 [conv4k1s2 conv4 context classify3 dropout0.5 | up conv4] conv2",
    degradation="gray",
    target="chroma",
    color_space="ycbcr",
    tta=TTA(flip=True, shift=2),
    channels=3,
    size=16,
    mean=(0.45,),
    std=(0.25,),
    output_mean=(0.0, 0.0, 0.0),
    output_std=(1.0, 1.0, 1.0),
    data="nothing",
)

DENSE = ModelCard(
    network="conv2k4s4 dense4:none | dense4h4w4 up4 conv3",
    degradation="none",
    target="rgb",
    color_space="ycbcr",
    channels=3,
    size=16,
    mean=(0.4, 0.5, 0.6),
    std=(0.2, 0.25, 0.3),
    output_mean=(0.4, 0.5, 0.6),
    output_std=(0.2, 0.25, 0.3),
    data="nothing",
)


def model_of(card: ModelCard) -> ImageModel:
    given = 1 if card.degradation == "gray" else 3
    network = build(
        parse(card.network),
        channels=given,
        size=card.size,
        generator=torch.Generator().manual_seed(0),
    )
    return ImageModel.from_card(network, card).eval()


@dataclass(frozen=True)
class Exported:
    model: ImageModel
    file: Path
    difference: float


@pytest.fixture(scope="module")
def colorizer(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    file = tmp_path_factory.mktemp("onnx") / "colorize.onnx"
    model = model_of(COLORIZER)
    return Exported(model, file, export_onnx(model, file, card=COLORIZER))


@pytest.fixture(scope="module")
def content(colorizer: Exported) -> bytes:
    return colorizer.file.read_bytes()


def test_it_gives_what_pytorch_gives(colorizer: Exported) -> None:
    assert 0 <= colorizer.difference <= TOLERANCE
    loaded = load_onnx(colorizer.file, threads=1)
    assert loaded.channels == 1
    assert loaded.geometry == Geometry(multiple=2, field=None)
    for shape in ((1, 1, 16, 16), (5, 1, 20, 12), (2, 1, 2, 64)):
        images = np.random.default_rng(0).random(shape, np.float32)
        with torch.inference_mode():
            expected = colorizer.model.answer(torch.from_numpy(images)).numpy()
        np.testing.assert_allclose(loaded(images), expected, atol=TOLERANCE)
    odd = loaded(np.random.default_rng(0).random((1, 1, 7, 9), np.float32))
    assert odd.shape == (1, 2, 7, 9)


def test_an_average_over_an_enlarged_image_is_exported_too(tmp_path: Path) -> None:
    card = replace(COLORIZER, tta=TTA(flip=True, shift=2, scale=True))
    model, file = model_of(card), tmp_path / "enlarged.onnx"
    assert export_onnx(model, file, card=card) <= TOLERANCE
    loaded = load_onnx(file, threads=1)
    assert loaded.geometry == Geometry(multiple=8, field=None)
    for shape in ((1, 1, 16, 16), (3, 1, 32, 24), (2, 1, 8, 64)):
        images = np.random.default_rng(0).random(shape, np.float32)
        with torch.inference_mode():
            expected = model.answer(torch.from_numpy(images)).numpy()
        np.testing.assert_allclose(loaded(images), expected, atol=TOLERANCE)


def test_pictures_come_out_the_same(colorizer: Exported, scene: np.ndarray) -> None:
    loaded = load_onnx(colorizer.file, threads=1)
    ours = torch_picture_model(colorizer.model, COLORIZER, torch.device("cpu"))
    assert ours.geometry == loaded.geometry
    picture = Picture(pixels=scene)
    with_torch, without = (
        colorize(model, [picture])[0].pixels.astype(int) for model in (ours, loaded)
    )
    assert np.abs(with_torch - without).max() <= 1
    assert np.abs(with_torch - scene).mean() > 1


def test_the_file_says_what_it_is(content: bytes) -> None:
    proto = onnx.load_from_string(content)
    onnx.checker.check_model(proto)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    assert metadata["format"] == FORMAT
    assert metadata["network"] == COLORIZER.network
    assert json.loads(metadata["card"]) == json.loads(json.dumps(COLORIZER.to_dict()))
    assert metadata["task"] == "degradation gray, target chroma"

    def dimensions(value: object) -> list[object]:
        return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]  # type: ignore[attr-defined]

    assert dimensions(proto.graph.input[0]) == ["batch", 1, "height", "width"]
    assert dimensions(proto.graph.output[0]) == ["batch", 2, "height", "width"]


def test_no_torch_is_wanted_for_pictures(colorizer: Exported, tmp_path: Path) -> None:
    gray = np.random.default_rng(0).integers(0, 256, (40, 30, 1)).astype(np.uint8)
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    source.write_bytes(encode(Picture(pixels=gray)))
    script = f"""
import sys
from pathlib import Path
from caelab.pictures.backends.onnx import load_onnx
from caelab.pictures.colorize import colorize
from caelab.pictures.inputs import find_jobs
from caelab.pictures.batch import work
model = load_onnx(Path({str(colorizer.file)!r}))
outcomes = list(work(find_jobs([{str(source)!r}], output={str(target)!r}),
                     lambda pictures: colorize(model, pictures)))
assert not outcomes[0].error, outcomes
assert "torch" not in sys.modules
"""
    cache = tmp_path / "cache"
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "TMPDIR": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60, env=environment)
    assert target.exists()
    # There onnxruntime keeps what it sends to its makers, unless it is told not to.
    assert not (cache / "Microsoft").exists()


def test_a_dense_network_keeps_its_size_and_takes_any_number(tmp_path: Path) -> None:
    file = tmp_path / "dense.onnx"
    model = model_of(DENSE)
    assert export_onnx(model, file, card=DENSE) <= TOLERANCE
    loaded = load_onnx(file, threads=1)
    assert loaded.geometry == Geometry(field=None, fixed=16)
    images = np.random.default_rng(0).random((3, 3, 16, 16), np.float32)
    with torch.inference_mode():
        np.testing.assert_allclose(
            loaded(images), model.answer(torch.from_numpy(images)).numpy(), atol=TOLERANCE
        )
    with pytest.raises(InputError, match=r"cannot be applied to images of \(1, 3, 20, 20\)"):
        loaded(np.zeros((1, 3, 20, 20), np.float32))


def test_damaged_and_foreign_files_are_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    with pytest.raises(InputError, match=r"cannot read .*No such file"):
        load_onnx(file)
    for damaged in (b"", b"nothing", content[: len(content) // 2]):
        file.write_bytes(damaged)
        with pytest.raises(
            InputError, match=r"is not an ONNX model, or it is damaged|was not exported by caelab"
        ):
            load_onnx(file)
    proto = onnx.load_from_string(content)
    entries = {entry.key: entry for entry in proto.metadata_props}
    entries["card"].value = "{"
    file.write_bytes(proto.SerializeToString())
    with pytest.raises(InputError, match="the description in its metadata is damaged"):
        load_onnx(file)
    entries["format"].value = "another"
    file.write_bytes(proto.SerializeToString())
    with pytest.raises(InputError, match="was not exported by caelab"):
        load_onnx(file)


def test_what_differs_from_pytorch_is_not_written(tmp_path: Path) -> None:
    class Stateful(torch.nn.Module):
        """Gives something else after it was translated."""

        def __init__(self) -> None:
            super().__init__()
            self.shift = torch.nn.Parameter(torch.zeros(()))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images + self.shift

    whole = Stateful().eval()
    proto = export._translate(whole, channels=3, geometry=Geometry())
    for key, value in {
        "format": FORMAT,
        "card": json.dumps(DENSE.to_dict()),
        "geometry": "{}",
        "channels": "3",
    }.items():
        proto.metadata_props.add(key=key, value=value)
    file = tmp_path / "m.onnx"
    file.write_bytes(proto.SerializeToString())
    assert export._compare(whole, file, channels=3, geometry=Geometry(), sides=(16, 16)) == 0
    whole.shift.data.fill_(0.01)
    with pytest.raises(InputError, match=r"differ by up to 0\.01 for 1 images of 16×16"):
        export._compare(whole, file, channels=3, geometry=Geometry(), sides=(16, 16))


def test_a_colorizer_of_before_is_read_as_rgb_and_a_warning_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, scene: np.ndarray
) -> None:
    class Merging(torch.nn.Module):
        """Answers with RGB, as colorizers did."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.cat([images * 0.9, images * 0.7, images * 0.4], dim=1)

    proto = export._translate(Merging().eval(), channels=1, geometry=Geometry())
    old_names = {"degradation": "impair", "target": "predict", "color_space": "space"}
    card = {old_names.get(name, name): value for name, value in COLORIZER.to_dict().items()}
    del card["tta"]
    metadata = {"card": json.dumps(card), "geometry": "{}", "channels": "1"}
    for key, value in {"format": "caelab-onnx-1", **metadata}.items():
        proto.metadata_props.add(key=key, value=value)
    proto.graph.output[0].name = "restored"
    proto.graph.node[-1].output[0] = "restored"
    file = tmp_path / "old.onnx"
    file.write_bytes(proto.SerializeToString())
    model = load_onnx(file)
    assert "Export the model again" in caplog.text
    assert (model.color_space, str(model.degradation)) == (None, "gray")
    (result,) = colorize(model, [Picture(pixels=scene)])
    assert np.ptp(result.pixels.astype(int), axis=2).mean() > 10


def test_a_colorizers_answer_is_chroma_in_its_own_space(tmp_path: Path) -> None:
    card = replace(COLORIZER, color_space="lab", tta=TTA())
    model, file = model_of(card), tmp_path / "lab.onnx"
    assert export_onnx(model, file, card=card) <= 100 * TOLERANCE  # the range of L
    loaded = load_onnx(file)
    assert loaded.color_space == "lab"
    images = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        restored = model.restore(images)
    luma = images.numpy()
    merged = merge(luma, loaded(luma), SPACES["lab"], gamut="desaturate")
    np.testing.assert_allclose(merged, restored.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    "geometry",
    [
        {"multiple": 0},
        {"multiple": "a"},
        {"multiple": 10**9},
        {"multiple": None},
        {"field": -3},
        {"field": 10**6},
        {"fixed": 10**5},
        {"fixed": 2.5},
        {"multiple": 2, "field": None, "fixed": 16},
        {"multiple": 1, "field": 20, "fixed": 16},
        {"other": 1},
        [2],
    ],
)
def test_sizes_in_the_metadata_are_not_believed(
    tmp_path: Path, content: bytes, geometry: object
) -> None:
    model = onnx.ModelProto.FromString(content)
    for entry in model.metadata_props:
        if entry.key == "geometry":
            entry.value = json.dumps(geometry)
    file = tmp_path / "model.onnx"
    file.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="metadata is damaged"):
        load_onnx(file)


def test_an_answer_of_another_shape_is_said(tmp_path: Path, content: bytes) -> None:
    model = onnx.ModelProto.FromString(content)
    for entry in model.metadata_props:
        if entry.key == "color_space":
            entry.value = ""  # three planes, and the graph gives two
    file = tmp_path / "model.onnx"
    file.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="does not return 3 planes"):
        load_onnx(file, threads=1)(np.zeros((1, 1, 16, 16), np.float32))
