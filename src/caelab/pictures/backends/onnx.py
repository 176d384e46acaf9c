"""Apply the model in an ONNX file with onnxruntime, without PyTorch."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from caelab.color import SPACES
from caelab.errors import InputError, missing_extra
from caelab.models.card import damaged, read_card
from caelab.pictures.backends.base import Geometry, PictureModel
from caelab.pictures.picture import Floats
from caelab.processors import default_threads

_log = logging.getLogger(__name__)

FORMAT = "caelab-onnx-2"
"""Name of the current format, which stands in the metadata of a file."""

OLD_FORMAT = "caelab-onnx-1"
"""Name of the earlier format, in which colorizers returned RGB, merged at low resolution."""

INPUT, OUTPUT = "images", "answer"
"""Names of the graph's input, images ``float32 (N, C, H, W)`` in [0, 1], and of its output: images
in [0, 1], or chroma ``(N, 2, H, W)`` in the ``color_space`` that the metadata name."""


MAX_MULTIPLE, MAX_FIELD, MAX_FIXED = 256, 16_384, 1024
"""Largest numbers of a :class:`Geometry` that are accepted from a file, because larger ones would
make tiles that fill the memory."""


def import_onnxruntime() -> Any:
    """Import onnxruntime with its telemetry switched off.

    Raises:
        InputError: onnxruntime is not installed.
    """
    # onnxruntime reads this variable only when it is imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise missing_extra("ONNX models need onnxruntime", "pictures") from error
    return onnxruntime


def load_onnx(file: Path, *, threads: int | None = None) -> PictureModel:
    """Read a model that ``export_onnx`` wrote.

    Args:
        file: The ONNX file.
        threads: Threads of onnxruntime; by default the number in ``OMP_NUM_THREADS``, or one per
            core.

    Raises:
        InputError: onnxruntime is not installed, or the file is missing, damaged or not exported by
            caelab.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or default_threads()
    options.log_severity_level = 4  # nothing is logged, because errors are raised
    try:
        file.open("rb").close()
        # The path is given, not the content, because weights may be in another file next to it.
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}.") from error
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise InputError(
            f"{file} is not an ONNX model, or it is damaged. Export it again. ({error})"
        ) from error
    metadata = session.get_modelmeta().custom_metadata_map
    if metadata.get("format") not in (FORMAT, OLD_FORMAT):
        raise InputError(
            f"{file} was not exported by caelab: its metadata does not say format {FORMAT}."
        )
    card = read_card(metadata.get("card", ""), file)
    try:
        geometry = _read_geometry(metadata["geometry"])
        space = metadata.get("color_space")
        color_space = SPACES[space].name if space else None
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise damaged(file, error) from error
    if metadata["format"] == OLD_FORMAT and card.target in ("chroma", "bins"):
        _log.warning(
            "%s was exported by an earlier version of caelab, and its colors may be paler, because"
            " they are limited to sRGB before they are enlarged. Export the model again.",
            file,
        )

    planes = card.channels if color_space is None else 2

    def function(images: Floats) -> Floats:
        try:
            answer: Floats = session.run(None, {INPUT: np.ascontiguousarray(images)})[0]
        except Exception as error:
            raise InputError(
                f"{file} cannot be applied to images of {images.shape}: {error}"
            ) from error
        expected = (len(images), planes, *images.shape[2:])
        if getattr(answer, "dtype", None) != np.float32 or answer.shape != expected:
            raise InputError(
                f"{file} does not return {planes} planes of numbers for each image."
                " Export the model again."
            )
        return answer

    return PictureModel.of_card(card, function, geometry, color_space=color_space)


def _read_geometry(text: str) -> Geometry:
    """Return the geometry in an ONNX file's metadata.

    Raises:
        TypeError: The text has an unknown name.
        ValueError: A value is not a whole number within the limits.
    """
    geometry = Geometry(**json.loads(text))
    limits = {"multiple": MAX_MULTIPLE, "field": MAX_FIELD, "fixed": MAX_FIXED}
    for name, most in limits.items():
        value = getattr(geometry, name)
        whole = type(value) is int and 1 <= value <= most
        if not whole and (value is not None or name == "multiple"):
            raise ValueError(f"{name} {value!r} is not a whole number from 1 to {most}")
    return geometry
