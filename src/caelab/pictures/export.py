"""Export a model to ONNX, for images of any number and size, and compare it with PyTorch."""

import json
import logging
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caelab.errors import InputError, missing_extra
from caelab.files import replacing
from caelab.interrupt import uninterrupted
from caelab.models.card import ModelCard
from caelab.models.image_model import ImageModel
from caelab.pictures.backends.base import Geometry
from caelab.pictures.backends.onnx import FORMAT, INPUT, OUTPUT, import_onnxruntime, load_onnx
from caelab.pictures.backends.torch import on_arrays, torch_picture_model

TOLERANCE = 1e-4
"""Largest accepted difference from PyTorch, on a range of 1: a fortieth of an 8-bit step."""

WEIGHTS = "model.network."
"""Prefix that the exporter adds to the names of the network's weights."""


def export_onnx(
    model: ImageModel, file: Path, *, card: ModelCard, weights: Path | None = None
) -> float:
    """Write a model to an ONNX file, and check that it computes the same as in PyTorch.

    The graph takes images ``float32 (N, C, H, W)`` in [0, 1]. Like :meth:`ImageModel.answer`, it
    returns images in [0, 1], or the chroma that a colorizer predicts. Normalization and test-time
    augmentation are part of the graph. N, H and W can have any value: images whose sides are not
    multiples of the network's stride are extended by repeating the border, and the output is
    cropped. Only a network with a ``dense`` layer takes a single size. The metadata of the file
    contain the card and everything else that :func:`load_onnx` needs.

    Args:
        model: Model on the CPU; it is put into evaluation mode.
        file: Path of the new file, written atomically.
        card: Card that describes the model.
        weights: The model's safetensors file, in the folder of ``file``. The graph then refers to
            the weights in this file. Otherwise the graph contains the weights.

    Returns:
        Largest difference between the results of ONNX and PyTorch, for random images of several
        shapes.

    Raises:
        InputError: Packages are missing, the model cannot be exported, or the results differ by
            more than ``TOLERANCE``.
    """
    channels = len(card.mean)
    geometry = torch_picture_model(model, card, torch.device("cpu")).geometry
    # The graph itself pads, so that programs in other languages need not know the stride.
    whole = _AnySize(model, geometry.multiple).eval()
    import_onnxruntime()  # fails before the work if it is not installed
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise missing_extra("to export to ONNX, more packages are needed", "onnx") from error

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
    onnx.helper.set_model_props(graph, metadata)
    if weights is not None:
        _refer_to_weights(graph, weights)
    with replacing(file) as temporary:
        temporary.write_bytes(graph.SerializeToString())
        return _compare(whole, temporary, channels=channels, geometry=geometry, sides=card.sides)


class _AnySize(nn.Module):
    """A model for images of any size, which are padded to multiples of the network's stride."""

    def __init__(self, model: ImageModel, multiple: int) -> None:
        super().__init__()
        self.model, self.multiple = model, multiple

    def forward(self, images: Tensor) -> Tensor:
        """Return the model's answer ``(N, C', H, W)`` to images ``(N, C, H, W)``."""
        if self.multiple == 1:
            return self.model.answer(images)
        height, width = images.shape[2:]
        # -width % multiple is the number of pixels that are missing to the next multiple.
        padding = (0, -width % self.multiple, 0, -height % self.multiple)
        return self.model.answer(F.pad(images, padding, mode="replicate"))[:, :, :height, :width]


def _translate(whole: nn.Module, *, channels: int, geometry: Geometry) -> Any:
    """Return the module as an ONNX ``ModelProto`` whose free dimensions are named."""
    names = {0: "batch"} if geometry.fixed else {0: "batch", 2: "height", 3: "width"}
    # Height and width differ, because the exporter would treat equal sizes as one dimension.
    sides = [geometry.fixed or factor * geometry.multiple for factor in (10, 12)]
    example = torch.rand(2, channels, *sides, generator=torch.Generator().manual_seed(0))
    # The exporter logs and warns about its own calls of PyTorch, which users cannot change.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    # The exporter answers an interruption with another try, so that Ctrl-C has to wait for its end.
    with uninterrupted(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                whole,
                (example,),
                dynamo=True,
                dynamic_shapes=(dict.fromkeys(names, torch.export.Dim.DYNAMIC),),
                input_names=[INPUT],
                output_names=[OUTPUT],
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise InputError(f"the network cannot be exported to ONNX: {error}") from error
    assert program is not None
    proto = program.model_proto
    del proto.graph.value_info[:]  # shapes that onnxruntime infers itself
    for node in proto.graph.node:
        del node.metadata_props[:]  # which line of Python made the node
    for value in (*proto.graph.input, *proto.graph.output):
        for axis, name in names.items():
            value.type.tensor_type.shape.dim[axis].dim_param = name
    return proto


def _refer_to_weights(graph: Any, weights: Path) -> None:
    """Replace a graph's weights by references to a safetensors file.

    An external tensor of ONNX is an offset and a length in any file, such as a safetensors file.
    """
    import onnx

    with weights.open("rb") as file:
        # A safetensors file begins with the length of its JSON header, in eight bytes.
        length = int.from_bytes(file.read(8), "little")
        stored: dict[str, Any] = json.loads(file.read(length))
    casts = []
    for tensor in graph.graph.initializer:
        entry = stored.get(tensor.name.removeprefix(WEIGHTS), {})
        if not tensor.name.startswith(WEIGHTS) or list(tensor.dims) != entry.get("shape"):
            continue  # a constant, or computed from weights by the exporter
        first, last = entry["data_offsets"]
        # The graph computes in float32, so weights that are stored in float16 are cast.
        if entry["dtype"] == "F16":
            name = f"{tensor.name}.stored"
            cast_to = onnx.TensorProto.FLOAT
            casts.append(onnx.helper.make_node("Cast", [name], [tensor.name], to=cast_to))
            tensor.name, tensor.data_type = name, onnx.TensorProto.FLOAT16
        onnx.external_data_helper.set_external_data(
            tensor, weights.name, offset=8 + length + first, length=last - first
        )
        tensor.ClearField("raw_data")
    # Casts come first, because ONNX requires a node to stand after the nodes whose results it uses.
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def _compare(
    whole: nn.Module, file: Path, *, channels: int, geometry: Geometry, sides: tuple[int, int]
) -> float:
    """Return the largest difference between PyTorch and onnxruntime over several shapes."""
    by_onnx, by_torch = load_onnx(file), on_arrays(whole, torch.device("cpu"))
    high, wide = sides
    shapes = [(1, high, wide), (3, high, wide)]
    if geometry.fixed is None:
        # Wrong padding shows in images whose sides are not multiples of the stride, and in 1×1.
        shapes += [(2, high + 3 * geometry.multiple, wide), (1, high + 1, 2 * wide - 1), (1, 1, 1)]
    rng = np.random.default_rng(1)
    differences = []
    for count, height, width in shapes:
        images = rng.random((count, channels, height, width), np.float32)
        differences.append(float(np.abs(by_onnx(images) - by_torch(images)).max()))
        if not differences[-1] <= TOLERANCE:
            raise InputError(
                "the exported ONNX model gives other results than PyTorch: they differ by up to"
                f" {differences[-1]:.3g} for {count} images of {height}×{width}, and at most"
                f" {TOLERANCE:g} is allowed. Nothing was written."
            )
    return max(differences)
