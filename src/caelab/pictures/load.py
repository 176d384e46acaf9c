"""A trained model in Python: images in, images out.

The examples use a shipped model; the path of a run directory works as well.

>>> import caelab, numpy as np
>>> model = caelab.load("reference")
>>> photograph = np.full((50, 70, 3), 128, np.uint8)
>>> model.restore(photograph).shape
(50, 70, 3)

Batches go straight through the network, and to its code and back:

>>> images = np.full((5, 3, 32, 32), 0.5, np.float32)
>>> code = model.encode(images)
>>> code.shape
(5, 16, 8, 8)
>>> np.allclose(model.decode(code), model.restore(images), atol=1e-6)
True
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from caelab.color import luminance
from caelab.device import choose_device
from caelab.errors import InputError
from caelab.models.card import ModelCard
from caelab.models.image_model import ImageModel
from caelab.models.inference import Inference
from caelab.models.weights_file import load_model
from caelab.pictures.backends.torch import on_arrays, torch_picture_model
from caelab.pictures.colorize import colorize
from caelab.pictures.model_files import find_model, photograph_settings
from caelab.pictures.open_model import ONNX, Device, command_for
from caelab.pictures.picture import Floats, Picture, to_planes
from caelab.pictures.read import metadata_of, picture_of
from caelab.pictures.restore import restore

Array = NDArray[Any]
ImagesT = TypeVar("ImagesT", Image.Image, Array)


class Model:
    """A trained model.

    A *picture* is a Pillow image, or an array ``(H, W)`` or ``(H, W, C)``, of any size, where C is
    1, 3 or, with alpha, 2 or 4. A *batch* is an array ``(N, C, H, W)`` of a size that the network
    takes. Values are those of scikit-image: uint8, uint16, floats in [0, 1], or bool.

    Attributes:
        card: What is known of the model: its network's text, what it was trained to undo, the size
            of its training images.
        network: The module, with normalization and target, in evaluation mode.
    """

    def __init__(
        self,
        network: ImageModel,
        card: ModelCard,
        device: torch.device,
        *,
        photographs: Mapping[str, Any] | None = None,
    ) -> None:
        self.network = network
        self.card = card
        model = torch_picture_model(network, card, device)
        self._model = replace(model, **photographs or {})
        inference = Inference(network)
        self._restore = on_arrays(inference.restore, device)
        self._encode = on_arrays(inference.encode, device)
        self._decode = on_arrays(inference.decode, device)

    def __repr__(self) -> str:
        card = self.card
        return f"<caelab model: {card.network}, {card.degradation} to {card.target}>"

    def restore(
        self,
        images: ImagesT,
        *,
        scales: Sequence[int] | None = None,
        saturation: float | None = None,
    ) -> ImagesT:
        """Undo what the model was trained to undo: colorize, denoise, reconstruct.

        Models of gray images get the luma of RGB.

        Args:
            images: A picture or a batch.
            scales: For pictures to be colorized: shorter sides in pixels at which the network sees
                them, see :func:`caelab.pictures.colorize.colorize`.
            saturation: For pictures to be colorized: factor of the chroma, see there.

        Returns:
            A picture of the same kind and type, of uint8 for bool; a Pillow image with the EXIF and
            whatever else its ``info`` holds, upright. For a batch, ``float32 (N, C, H, W)`` in
            [0, 1].

        Raises:
            InputError: The images have another form, or a size that the network does not take.
        """
        if not isinstance(images, Image.Image) and np.ndim(images) == 4:
            return self._restore(self._batch(images))
        picture = _picture(images)
        if command_for(self._model.degradation) == "colorize":
            (result,) = colorize(self._model, [picture], scales=scales, saturation=saturation)
        else:
            (result,) = restore(self._model, [picture])
        if isinstance(images, Image.Image):
            image = result.to_pillow()
            image.info.update(metadata_of(images))
            return image
        values = result.joined()
        if np.issubdtype(images.dtype, np.floating):
            values = (values / result.most).astype(images.dtype)
        return values.reshape(images.shape) if values.size == images.size else values

    def encode(self, images: Image.Image | Array) -> Floats:
        """Return the code, the tensor at ``|``.

        Args:
            images: A batch, or a picture, which counts as a batch of one. Where sides are no
                multiples of the network's stride, images are mirrored at the right and lower border
                up to the next one, and so are those that the code decodes to.

        Returns:
            ``float32`` of shape ``(N, c, h, w)``.

        Raises:
            InputError: The network has no code that holds all its decoder needs, or does not take
                the images.
        """
        if isinstance(images, Image.Image) or np.ndim(images) != 4:
            images = to_planes(_picture(images).pixels)[None]
        images = np.asarray(images)
        if images.ndim == 4 and 0 not in images.shape and self._model.geometry.fixed is None:
            multiple = self._model.geometry.multiple
            padding = [(0, -side % multiple) for side in images.shape[2:]]
            images = np.pad(images, [(0, 0), (0, 0), *padding], mode="symmetric")
        return self._encode(self._batch(images))

    def decode(self, code: Array) -> Floats:
        """Return the images of codes.

        Args:
            code: ``(N, c, h, w)``, floats.

        Returns:
            ``float32 (N, C, H, W)`` in [0, 1].

        Raises:
            InputError: The network has no such code, or gives chroma, which needs the luminance.
        """
        if self.network.target.needs_luminance:
            raise InputError(
                "a code of this model decodes to chroma, which is no image without the luma. Use"
                " restore."
            )
        try:
            return self._decode(np.asarray(code, np.float32))
        # PyTorch's message is about the weights of a layer, which are not at fault.
        except RuntimeError as error:
            raise InputError(
                f"a code of {np.shape(code)} is not one of {self.card.network}."
            ) from error

    def _batch(self, images: Array) -> Floats:
        """Return images as the network's input, ``float32 (N, C, H, W)``."""
        array = np.asarray(images)
        takes = self._model.channels
        # An RGB network takes gray images too, and a gray one RGB.
        counts = (1, 3) if takes in (1, 3) else (takes,)
        if array.ndim != 4 or array.shape[1] not in counts or 0 in array.shape:
            raise InputError(
                f"a batch of images is (N, {' or '.join(map(str, counts))}, H, W); this is"
                f" {array.dtype} {array.shape}."
            )
        values = _on_unit_range(array)
        (height, width), geometry = array.shape[2:], self._model.geometry
        wanted = f"sides that are multiples of {geometry.multiple}"
        fits = height % geometry.multiple == width % geometry.multiple == 0
        if fixed := geometry.fixed:
            fits, wanted = height == width == fixed, f"{fixed}×{fixed} pixels"
        if not fits:
            raise InputError(
                f"the network {self.card.network} takes batches of {wanted}, not of"
                f" {height}×{width} pixels."
            )
        if takes == 1:
            return luminance(values)
        return values if values.shape[1] == takes else values.repeat(takes, axis=1)


def load(name_or_path: str | Path, *, device: Device = "auto") -> Model:
    """Load a shipped model by its name, or a model from a run directory or a weights file.

    >>> import caelab, numpy as np
    >>> gray = np.full((2, 1, 32, 32), 128, np.uint8)
    >>> colored = caelab.load("colorize").restore(gray)  # float32 in [0, 1]
    >>> colored.shape, caelab.load("denoise").card.degradation
    ((2, 3, 32, 32), 'noise0.1')

    Args:
        name_or_path: Name (``caelab models`` lists them), or path of a run directory or of its
            ``weights.safetensors``.
        device: Device that computes: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.

    Raises:
        InputError: There is no such model, or it is damaged.
    """
    file = find_model(name_or_path)
    if file.suffix == ONNX:
        raise InputError(
            f"{file} is an ONNX file, made for onnxruntime:"
            " `caelab.pictures.open_model.open_model` takes it."
        )
    where = choose_device(device)
    network, card = load_model(file, where)
    return Model(network, card, where, photographs=photograph_settings(file))


def _picture(images: Image.Image | Array) -> Picture:
    if isinstance(images, Image.Image):
        return picture_of(images)
    array = np.asarray(images)
    values = array[..., None] if array.ndim == 2 else array
    if values.ndim != 3 or values.shape[2] > 4 or 0 in values.shape:
        raise InputError(
            "a picture is (H, W) or (H, W, 1 to 4), a batch (N, C, H, W); this is"
            f" {array.dtype} {array.shape}."
        )
    if array.dtype not in (np.uint8, np.uint16):
        # 16 bits are finer than what a network makes of a value.
        white = 255 if array.dtype == bool else 65535
        scaled = np.rint(_on_unit_range(values) * white)
        values = scaled.astype(np.uint8 if white == 255 else np.uint16)
    return Picture.of_values(values)


def _on_unit_range(array: Array) -> Floats:
    """Return values of any type as ``float32`` in [0, 1], of the same shape.

    Raises:
        InputError: The type has no white that all agree on, or floats are beyond [0, 1].
    """
    if array.dtype in (np.uint8, np.uint16):
        return array.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    if array.dtype == bool:
        return array.astype(np.float32)
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(
            f"images of {array.dtype} have no agreed white: convert them to uint8, uint16, or"
            " floats in [0, 1]."
        )
    low, high = float(array.min()), float(array.max())
    if not 0 <= low <= high <= 1:
        raise InputError(
            f"floats of images are in [0, 1], and these in [{low:.4g}, {high:.4g}]. Divide them by"
            " their white, such as 255, or clip them."
        )
    return array.astype(np.float32)
