"""A model that was exported to ONNX, on onnxruntime: for pictures, without torch."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from caelab.degrade.degradation import parse_degradation
from caelab.errors import InputError
from caelab.pictures.luma import Floats
from caelab.pictures.picture_model import Geometry, PictureModel

FORMAT = "caelab-onnx-1"

INPUT, OUTPUT = "images", "restored"
"""The names of the graph's input, float32 (N, C, H, W) in [0, 1], and output, (N, C', H, W) in [0,
1]."""


def load_onnx(file: Path, *, threads: int = 0) -> tuple[PictureModel, dict[str, Any]]:
    """Read a model that ``export_onnx`` wrote, and its card.

    Args:
        file: The model.
        threads: Of onnxruntime; 0 takes as many as there are cores.

    Raises:
        InputError: onnxruntime is not installed, or the file is missing, damaged or no model of
            caelab.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError("ONNX models need onnxruntime: pip install 'caelab[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what matters comes as an exception
    try:
        file.open("rb").close()
        # By its path, as the weights may be in another file beside it.
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}.") from error
    except Exception as error:  # onnxruntime's own kinds have no common base
        raise InputError(
            f"{file} is no ONNX model, or damaged. Export it again. ({error})"
        ) from error
    metadata = session.get_modelmeta().custom_metadata_map
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{file} was not exported by caelab: its metadata does not say format {FORMAT}."
        )
    try:
        card = json.loads(metadata["card"])
        geometry = Geometry(**json.loads(metadata["geometry"]))
        channels = int(metadata["channels"])
        size = int(card["size"])
        degradation = parse_degradation(card["impair"])
    except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
        raise InputError(
            f"{file}: the description in its metadata is damaged ({error})."
        ) from error

    def function(images: Floats) -> Floats:
        try:
            restored: Floats = session.run([OUTPUT], {INPUT: np.ascontiguousarray(images)})[0]
        except Exception as error:
            raise InputError(
                f"{file} cannot be applied to images of {images.shape}: {error}"
            ) from error
        return restored

    model = PictureModel(
        function=function, channels=channels, geometry=geometry, size=size, degradation=degradation
    )
    return model, card
