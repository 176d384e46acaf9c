"""A trained model → ONNX, for any number and size of images, compared with PyTorch before it is
kept.
"""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caelab.degrade.degradation import parse_degradation
from caelab.errors import InputError
from caelab.files import replacing
from caelab.models.card import ModelCard
from caelab.models.image_model import ImageModel
from caelab.pictures.backends.base import Geometry
from caelab.pictures.backends.onnx import FORMAT, INPUT, OUTPUT, load_onnx
from caelab.pictures.backends.torch import geometry_of_card

TOLERANCE = 1e-4
"""Largest difference from PyTorch that is accepted, of a range of 1: a fortieth of a level of 8
bits."""

WEIGHTS = "model.network."
"""What the exporter puts before the names of the network's weights."""


def export_onnx(
    model: ImageModel, file: Path, *, card: ModelCard, weights: Path | None = None
) -> float:
    """Write ``model`` as ONNX, and return the largest difference from PyTorch that was found over
    several shapes.

    The graph takes float32 (N, C, H, W) in [0, 1] and gives images in [0, 1]: normalisation,
    averaging over flips and the merging of chroma are inside. N, H and W are free; sides that are
    no multiple of the network's stride are made up by repeating the border and cut off again,
    inside too. A network with ``dense`` keeps its one size. The file's metadata say what
    ``load_onnx`` needs, and hold the card.

    Args:
        model: On the CPU; it is put into evaluation mode.
        file: What is written, atomically.
        card: The model's.
        weights: The model's own safetensors file, in the folder of ``file``, where the two shall
            stay together: the graph refers to the weights in it. Without it they are in ``file``.

    Raises:
        InputError: The extra packages are missing, the model cannot be exported, or the results
            differ.
    """
    channels = parse_degradation(card.degradation).channels(card.channels)
    geometry = geometry_of_card(card)
    whole = _AnySize(model.eval(), geometry.multiple).eval()
    try:
        import onnxruntime  # noqa: F401 - to fail before the work
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(
            "to export to ONNX, more packages are needed: pip install 'caelab[onnx]'"
        ) from error

    graph = _translate(whole, channels=channels, geometry=geometry)
    metadata = {
        "format": FORMAT,
        "card": json.dumps(card.to_dict()),
        "geometry": json.dumps(asdict(geometry)),
        "channels": str(channels),
        "network": card.network,
        "task": f"degradation {card.degradation}, target {card.target}",
        "color_space": model.target.color_space or "",
    }
    for key, value in metadata.items():
        graph.metadata_props.add(key=key, value=value)
    if weights is not None:
        _refer(graph, weights)
    with replacing(file) as temporary:
        temporary.write_bytes(graph.SerializeToString())
        return _compare(whole, temporary, channels=channels, geometry=geometry, size=card.size)


class _AnySize(nn.Module):
    """The model, for sides that are no multiple of its stride too."""

    def __init__(self, model: ImageModel, multiple: int) -> None:
        super().__init__()
        self.model, self.multiple = model, multiple

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H, W)."""
        if self.multiple == 1:
            return self.model.answer(images)
        height, width = images.shape[2:]
        padding = (0, -width % self.multiple, 0, -height % self.multiple)
        return self.model.answer(F.pad(images, padding, mode="replicate"))[:, :, :height, :width]


def _translate(whole: nn.Module, *, channels: int, geometry: Geometry) -> Any:
    """The module as an ONNX ``ModelProto``, its free dimensions named."""
    free = torch.export.Dim.DYNAMIC
    names = {0: "batch"} if geometry.fixed else {0: "batch", 2: "height", 3: "width"}
    # Sides that differ from one another and from the batch, or they would be taken for one and the
    # same.
    height, width = (
        (geometry.fixed,) * 2
        if geometry.fixed
        else (10 * geometry.multiple, 12 * geometry.multiple)
    )
    example = torch.rand(2, channels, height, width, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings(), _quiet(logging.getLogger("torch.onnx")):
        warnings.simplefilter("ignore")  # the exporter's about its own use of torch
        try:
            program = torch.onnx.export(
                whole,
                (example,),
                dynamo=True,
                dynamic_shapes=(dict.fromkeys(names, free),),
                input_names=[INPUT],
                output_names=[OUTPUT],
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise InputError(f"the network cannot be exported to ONNX: {error}") from error
    assert program is not None
    proto = program.model_proto
    del proto.graph.value_info[:]  # shapes in the exporter's names; onnxruntime finds them itself
    for node in proto.graph.node:
        del node.metadata_props[:]  # where in Python each came from
    for value in (*proto.graph.input, *proto.graph.output):
        for axis, name in names.items():
            value.type.tensor_type.shape.dim[axis].dim_param = name
    return proto


def _refer(graph: Any, weights: Path) -> None:
    """Let the graph read from a safetensors file what it holds of it: to ONNX, an offset and a
    length in some file.
    """
    import onnx

    with weights.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        stored: dict[str, Any] = json.loads(file.read(length))
    kinds = {"F32": onnx.TensorProto.FLOAT, "F16": onnx.TensorProto.FLOAT16}
    casts = []
    for tensor in graph.graph.initializer:
        told = stored.get(tensor.name.removeprefix(WEIGHTS))
        if (
            told is None
            or not tensor.name.startswith(WEIGHTS)
            or list(tensor.dims) != told["shape"]
        ):
            continue  # what the exporter has computed from weights, and constants
        first, last = told["data_offsets"]
        if told["dtype"] != "F32":
            casts.append(
                onnx.helper.make_node(
                    "Cast", [f"{tensor.name}.stored"], [tensor.name], to=kinds["F32"]
                )
            )
            tensor.name = f"{tensor.name}.stored"
        tensor.ClearField("raw_data")
        tensor.data_type = kinds[told["dtype"]]
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in {
            "location": weights.name,
            "offset": 8 + length + first,
            "length": last - first,
        }.items():
            tensor.external_data.add(key=key, value=str(value))
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def _compare(
    whole: nn.Module, file: Path, *, channels: int, geometry: Geometry, size: int
) -> float:
    """The largest difference between PyTorch and onnxruntime over several shapes."""
    loaded, _ = load_onnx(file)
    side = size + 3 * geometry.multiple
    shapes = [(1, size, size), (3, size, size)]
    shapes += [] if geometry.fixed else [(2, side, size), (1, size + 1, 2 * size - 1), (1, 1, 1)]
    generator = torch.Generator().manual_seed(1)
    largest = 0.0
    for count, height, width in shapes:
        images = torch.rand(count, channels, height, width, generator=generator)
        with torch.inference_mode():
            expected = whole(images).numpy()
        found = loaded(images.numpy())
        difference = (
            float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")
        )
        if not difference <= TOLERANCE:
            raise InputError(
                "exported to ONNX the model gives other results than PyTorch: they differ by up to"
                f" {difference:.3g} for {count} images of {height}×{width}, and {TOLERANCE:g} is"
                " allowed. Nothing was written."
            )
        largest = max(largest, difference)
    return largest


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
