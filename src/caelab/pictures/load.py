"""Load a trained model, and apply it to images in Python.

The examples name a shipped model; the path of a run directory works as well.

>>> import caelab, numpy as np
>>> model = caelab.load("reference")
>>> photograph = np.full((50, 70, 3), 128, np.uint8)
>>> model.restore(photograph).shape
(50, 70, 3)

A batch of images of the network's size can also be encoded, and the code decoded:

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
from caelab.pictures.restore import Strength, restore

Array = NDArray[Any]
ImagesT = TypeVar("ImagesT", Image.Image, Array)


class Model:
    """A trained model, which is applied to pictures and batches.

    A *picture* is a Pillow image, or an array ``(H, W)`` or ``(H, W, C)``, of any size. C is 1 for
    gray and 3 for RGB; with alpha, C is 2 or 4. A *batch* is an array ``(N, C, H, W)`` of a size
    that the network takes. Arrays have the types of scikit-image: uint8, uint16, bool, or floats in
    [0, 1].

    Attributes:
        card: Description of the model, such as the text of its network, the degradation that it
            was trained to undo, and the size of its training images.
        network: PyTorch module of the network with normalization and prediction target, in
            evaluation mode.
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
        strength: Strength = 1.0,
    ) -> ImagesT:
        """Undo the degradation that the model was trained to undo: colorize, denoise, reconstruct.

        A colorizer uses the luma of RGB images. Any other model of gray images uses the luma of RGB
        images in a batch, but restores each channel of an RGB picture separately.

        Args:
            images: A picture or a batch.
            scales: Shorter sides, in pixels, at which a colorizer sees a picture: see
                :func:`caelab.pictures.colorize.colorize`. Not used for a batch.
            saturation: Factor of the chroma of a colorized picture, see the same function. Not used
                for a batch.
            strength: Share of the change that a picture gets, or ``"auto"``: see
                :func:`caelab.pictures.restore.restore`. Not used for a batch or by a colorizer.

        Returns:
            For an array of a picture, an array of the same type (uint8 for bool). For a Pillow
            image, an upright Pillow image with the color profile, EXIF, XMP, comment and
            resolution. For a batch, ``float32 (N, C, H, W)`` in [0, 1].

        Raises:
            InputError: The images have another shape or type, or a size that the network does not
                take.
        """
        if not isinstance(images, Image.Image) and np.ndim(images) == 4:
            return self._restore(self._batch(images))
        picture = _picture(images)
        if command_for(self._model.degradation) == "colorize":
            (result,) = colorize(self._model, [picture], scales=scales, saturation=saturation)
        else:
            (result,) = restore(self._model, [picture], strength=strength)
        if isinstance(images, Image.Image):
            image = result.to_pillow()
            image.info.update(metadata_of(images))
            return image
        values = result.joined()
        if np.issubdtype(images.dtype, np.floating):
            values = (values / result.most).astype(images.dtype)
        return values.reshape(images.shape) if values.size == images.size else values

    def encode(self, images: Image.Image | Array) -> Floats:
        """Return the code of images, which is the output of the network's encoder.

        Args:
            images: A batch, or a picture, which becomes a batch of one image. Sides that are not
                multiples of the network's stride are extended to the next multiple by mirroring the
                image at its right and lower border. The code then decodes to the extended size.

        Returns:
            ``float32`` of shape ``(N, c, h, w)``.

        Raises:
            InputError: The network has no code, its decoder needs more than the code, or it does
                not take the images.
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
        """Return the images that the network's decoder makes of codes.

        Args:
            code: Codes as :meth:`encode` returns them, floating point ``(N, c, h, w)``.

        Returns:
            ``float32 (N, C, H, W)`` in [0, 1].

        Raises:
            InputError: The codes do not fit the network, its decoder needs more than the code, or
                it predicts chroma, which is no image without the luma.
        """
        if self.network.target.needs_luminance:
            raise InputError(
                "a code of this model decodes to chroma, which is no image without the luma. Use"
                " restore."
            )
        try:
            return self._decode(np.asarray(code, np.float32))
        # PyTorch's message would blame a layer's weights, although the codes do not fit.
        except RuntimeError as error:
            raise InputError(
                f"codes of shape {np.shape(code)} do not fit the network {self.card.network}."
            ) from error

    def _batch(self, images: Array) -> Floats:
        """Return images as the network's input, ``float32 (N, C, H, W)``."""
        array = np.asarray(images)
        takes = self._model.channels
        # An RGB network also takes gray images, and a gray network also takes RGB images.
        counts = (1, 3) if takes in (1, 3) else (takes,)
        if array.ndim != 4 or array.shape[1] not in counts or 0 in array.shape:
            raise InputError(
                f"a batch of images has the shape (N, {' or '.join(map(str, counts))}, H, W), but"
                f" this is {array.dtype} {array.shape}."
            )
        values = _on_unit_range(array)
        (height, width), geometry = array.shape[2:], self._model.geometry
        wanted = f"sides that are multiples of {geometry.multiple}"
        fits = height % geometry.multiple == width % geometry.multiple == 0
        if fixed := geometry.fixed:
            fits, wanted = height == width == fixed, f"{fixed}×{fixed} pixels"
        if not fits:
            raise InputError(
                f"the network {self.card.network} takes batches of images with {wanted}, not with"
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
        name_or_path: Name of a shipped model (``caelab models`` lists the names), or path of a run
            directory or of a weights file.
        device: Device that computes: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.

    Raises:
        InputError: There is no such model, or it is damaged.
    """
    file = find_model(name_or_path)
    if file.suffix == ONNX:
        raise InputError(
            f"{file} is an ONNX file, which PyTorch cannot run. Open it with"
            " `caelab.pictures.open_model.open_model`."
        )
    where = choose_device(device)
    network, card = load_model(file, where)
    return Model(network, card, where, photographs=photograph_settings(file))


def _picture(images: Image.Image | Array) -> Picture:
    """Convert a Pillow image, or an array ``(H, W)`` or ``(H, W, 1 to 4)``, to a picture."""
    if isinstance(images, Image.Image):
        return picture_of(images)
    array = np.asarray(images)
    values = array[..., None] if array.ndim == 2 else array
    if values.ndim != 3 or values.shape[2] > 4 or 0 in values.shape:
        raise InputError(
            "a picture has the shape (H, W) or (H, W, 1 to 4), and a batch (N, C, H, W), but this"
            f" is {array.dtype} {array.shape}."
        )
    if array.dtype not in (np.uint8, np.uint16):
        # Floats are rounded to 16 bits, which are more precise than the output of a network.
        white = 255 if array.dtype == bool else 65535
        scaled = np.rint(_on_unit_range(values) * white)
        values = scaled.astype(np.uint8 if white == 255 else np.uint16)
    return Picture.of_values(values)


def _on_unit_range(array: Array) -> Floats:
    """Return values of any type as ``float32`` in [0, 1], of the same shape.

    Raises:
        InputError: It is not known which value of the type is white, or floats are outside [0, 1].
    """
    if array.dtype in (np.uint8, np.uint16):
        return array.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    if array.dtype == bool:
        return array.astype(np.float32)
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(
            f"it is not known which value is white in images of {array.dtype}: convert them to"
            " uint8, uint16, or floats in [0, 1]."
        )
    low, high = float(array.min()), float(array.max())
    if not 0 <= low <= high <= 1:
        raise InputError(
            f"images of floats must be in [0, 1], but these are in [{low:.4g}, {high:.4g}]. Divide"
            " them by the value of white, such as 255, or clip them."
        )
    return array.astype(np.float32)
