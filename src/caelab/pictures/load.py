"""A trained model in Python: images in, images out.

Here ``run`` is the directory of a reconstruction's run; the name of a model that ships, such as
``"reference"``, does as well.

>>> import caelab, numpy as np
>>> model = caelab.load(run)
>>> photograph = np.full((50, 70, 3), 128, np.uint8)
>>> model.restore(photograph).shape
(50, 70, 3)

Batches go straight through the network, and to its code and back:

>>> images = np.full((5, 3, 16, 16), 0.5, np.float32)
>>> code = model.encode(images)
>>> code.shape
(5, 2, 8, 8)
>>> np.allclose(model.decode(code), model.restore(images), atol=1e-6)
True
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from caelab.degrade.degradation import parse_degradation
from caelab.device import choose_device
from caelab.errors import InputError
from caelab.models.image_model import ImageModel
from caelab.models.inference import Inference
from caelab.models.prediction_heads import LogitPrediction, RgbPrediction
from caelab.models.weights_file import ModelCard, load_model
from caelab.pictures.backends.torch import torch_picture_model
from caelab.pictures.luma import Floats, luma
from caelab.pictures.model_files import find_model
from caelab.pictures.open_model import ONNX, Device, command_for
from caelab.pictures.picture import Picture, picture_of
from caelab.pictures.restore import colorize, restore

Array = NDArray[Any]


class Model:
    """A trained model.

    A *picture* is a Pillow image, or an array (H, W) or (H, W, C) of uint8 or uint16, of any size,
    C being 1, 3 or, with alpha, 2 or 4. A *batch* is an array (N, C, H, W) of uint8, or of floats
    in [0, 1], of a size that the network takes.

    Attributes:
        card: What is known of it: the network's text, what it was trained to undo, the size of its
            images.
        network: The module, normalisation and prediction included, in evaluation mode.
    """

    def __init__(self, network: ImageModel, card: ModelCard, device: torch.device) -> None:
        self.network = network
        self.card = card
        self._device = device
        self._inference = Inference(network)
        self._model = torch_picture_model(network, card, device)
        self._colorizes = command_for(parse_degradation(card.impair)) == "colorize"

    def __repr__(self) -> str:
        return (
            f"<caelab model: {self.card.network}, impair {self.card.impair}, predict"
            f" {self.card.predict}>"
        )

    @overload
    def restore(
        self, images: Image.Image, *, scales: Sequence[int] | None = None, saturation: float = 1.0
    ) -> Image.Image: ...

    @overload
    def restore(
        self, images: Array, *, scales: Sequence[int] | None = None, saturation: float = 1.0
    ) -> Array: ...

    def restore(
        self,
        images: Image.Image | Array,
        *,
        scales: Sequence[int] | None = None,
        saturation: float = 1.0,
    ) -> Image.Image | Array:
        """Undo what the model was trained to undo: colorize, denoise, reconstruct.

        Args:
            images: A picture, which comes back as one of its kind and depth; or a batch, which goes
                through the network as it is and comes back as float32 (N, C, H, W) in [0, 1].
                Models of gray are given the luma of RGB.
            scales: For pictures to be colorized, as for ``photos.restore.colorize``.
            saturation: Likewise.

        Raises:
            InputError: The images have another form, or a size that the network does not take.
        """
        if not isinstance(images, Image.Image) and np.ndim(images) == 4:
            return self._model(self._batch(images))
        picture = picture_of(images) if isinstance(images, Image.Image) else _picture(images)
        if self._colorizes:
            (result,) = colorize(self._model, [picture], scales=scales, saturation=saturation)
        else:
            (result,) = restore(self._model, [picture])
        values = result.pixels if result.alpha is None else np.dstack([result.pixels, result.alpha])
        if isinstance(images, Image.Image):
            if values.dtype == np.uint16 and values.shape[2] > 1:  # of which Pillow has no kind
                values = np.rint(values / 257).astype(np.uint8)
            made = Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)
            if result.icc:
                made.info["icc_profile"] = result.icc
            return made
        return values.reshape(images.shape) if values.size == images.size else values

    def encode(self, images: Image.Image | Array) -> Floats:
        """Return the code, the tensor at ``|``, float32 (N, c, h, w), of a batch, or of a picture
        as a batch of one.

        Raises:
            InputError: The network has no code that holds all its decoder needs, or does not take
                the images.
        """
        if isinstance(images, Image.Image) or np.ndim(images) != 4:
            picture = picture_of(images) if isinstance(images, Image.Image) else _picture(images)
            images = picture.values(slice(None)).transpose(2, 0, 1)[None]
        return self._run(self._batch(images), self._inference.encode)

    def decode(self, code: Array) -> Floats:
        """Return the images of codes (N, c, h, w), float32 (N, C, H, W) in [0, 1].

        Raises:
            InputError: The network has no such code, or the image needs more than it: chroma needs
                the luma.
        """
        prediction = self.network.prediction
        if not isinstance(prediction, RgbPrediction | LogitPrediction):
            raise InputError(
                "a code of this model decodes to chroma, which is no image without the luma. Use"
                " restore."
            )
        try:
            return self._run(np.asarray(code, np.float32), self._inference.decode)
        except RuntimeError as error:
            raise InputError(
                f"a code of {np.shape(code)} is not one of {self.card.network}."
            ) from error

    def _batch(self, images: Array) -> Floats:
        values = _batch(images, channels=self._model.channels)
        geometry, (height, width) = self._model.geometry, values.shape[2:]
        if geometry.fixed is not None and (height, width) != (geometry.fixed, geometry.fixed):
            wanted = f"{geometry.fixed}×{geometry.fixed} pixels"
        elif height % geometry.multiple or width % geometry.multiple:
            wanted = f"sides that are multiples of {geometry.multiple}"
        else:
            return values
        raise InputError(
            f"the network {self.card.network} takes batches of {wanted}, not of {height}×{width}"
            " pixels."
        )

    @torch.inference_mode()
    def _run(self, given: Floats, function: Callable[[Tensor], Tensor]) -> Floats:
        answer: Floats = (
            function(torch.from_numpy(given).to(self._device)).float().cpu().contiguous().numpy()
        )
        return answer


def load(name_or_path: str | Path, *, device: Device = "auto") -> Model:
    """Load a model that ships, by its name, or one from a run directory or a weights file.

    Raises:
        InputError: There is no such model, or it is damaged.
    """
    file = find_model(name_or_path)
    if file.suffix == ONNX:
        raise InputError(
            f"{file} is an ONNX file, made for onnxruntime: `photos.opened.open_model` takes it."
        )
    where = choose_device(device)
    network, card = load_model(file, where)
    return Model(network, card, where)


def _picture(values: Array) -> Picture:
    array = np.asarray(values)
    channels = 1 if array.ndim == 2 else array.shape[-1]
    if (
        array.dtype not in (np.uint8, np.uint16)
        or array.ndim not in (2, 3)
        or channels > 4
        or 0 in array.shape
    ):
        raise InputError(
            "a picture is uint8 or uint16 (H, W) or (H, W, C), a batch (N, C, H, W); this is"
            f" {array.dtype} {array.shape}."
        )
    whole = np.ascontiguousarray(array.reshape(*array.shape[:2], channels))
    if channels in (2, 4):
        return Picture(pixels=whole[..., :-1], alpha=whole[..., -1])
    return Picture(pixels=whole)


def _batch(images: Array, *, channels: int) -> Floats:
    """The batch as a model of that many channels is given it: float32 (N, channels, H, W)."""
    array = np.asarray(images)
    if array.ndim != 4 or array.shape[1] not in (1, 3) or 0 in array.shape:
        raise InputError(f"a batch of images is (N, 1 or 3, H, W); this is {array.shape}.")
    if array.dtype == np.uint8:
        array = array / np.float32(255)
    elif not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"a batch of images is uint8, or floats in [0, 1]; this is {array.dtype}.")
    values: Floats = array.astype(np.float32)
    if channels == 1 and array.shape[1] == 3:
        values = luma(np.moveaxis(values, 1, -1))[:, None]
    return np.ascontiguousarray(
        values if values.shape[1] == channels else values.repeat(channels, axis=1)
    )
