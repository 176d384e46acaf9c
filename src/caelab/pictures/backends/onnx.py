"""A model that was exported to ONNX, on onnxruntime: for pictures, without torch."""

import json
import logging
from pathlib import Path

import numpy as np

from caelab.color import SPACES
from caelab.errors import InputError
from caelab.models.card import damaged, read_card
from caelab.pictures.backends.base import Geometry, PictureModel
from caelab.pictures.picture import Floats

_log = logging.getLogger(__name__)

FORMAT = "caelab-onnx-2"

OLD_FORMAT = "caelab-onnx-1"
"""Format in which colorizers answered with RGB, their chroma merged at low resolution."""

INPUT, OUTPUT = "images", "answer"
"""Names of the graph's input, ``float32 (N, C, H, W)`` in [0, 1], and output: images in [0, 1], or
chroma ``(N, 2, H, W)`` in the unit of the metadata's ``color_space``."""


def load_onnx(file: Path, *, threads: int = 0) -> PictureModel:
    """Read a model that ``export_onnx`` wrote.

    Args:
        file: The model.
        threads: Threads of onnxruntime; 0 for one per core.

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
    options.log_severity_level = 4  # errors come as exceptions
    try:
        file.open("rb").close()
        # By its path, as the weights may be in another file next to it.
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}.") from error
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise InputError(
            f"{file} is no ONNX model, or damaged. Export it again. ({error})"
        ) from error
    metadata = session.get_modelmeta().custom_metadata_map
    if metadata.get("format") not in (FORMAT, OLD_FORMAT):
        raise InputError(
            f"{file} was not exported by caelab: its metadata does not say format {FORMAT}."
        )
    card = read_card(metadata.get("card", ""), file)
    try:
        geometry = Geometry(**json.loads(metadata["geometry"]))
        space = metadata.get("color_space")
        color_space = SPACES[space].name if space else None
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(file, error) from error
    if metadata["format"] == OLD_FORMAT and card.target in ("chroma", "bins"):
        _log.warning(
            "%s was exported by an earlier caelab: its colors are reduced to sRGB before they are"
            " enlarged, and may be paler. Export the model again.",
            file,
        )

    def function(images: Floats) -> Floats:
        try:
            answer: Floats = session.run(None, {INPUT: np.ascontiguousarray(images)})[0]
        except Exception as error:
            raise InputError(
                f"{file} cannot be applied to images of {images.shape}: {error}"
            ) from error
        return answer

    return PictureModel.of_card(card, function, geometry, color_space=color_space)
