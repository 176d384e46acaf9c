"""The kinds of degradations, one class each; users add their own classes with ``@register``.

PyTorch and other libraries are imported only where images are degraded, so that the command line
can read the text of a degradation without delay.
"""

import hashlib
import io
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from caelab.registry import Registry, register

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

MISSING = -0.5
"""Value of missing pixels. It is outside [0, 1], so that a network can tell missing pixels from
black ones. Clipped to [0, 1], it is black."""


@dataclass(frozen=True, kw_only=True)
class Strength:
    """Meaning and range of the number after a degradation's name.

    Attributes:
        unit: Meaning and unit of the number, such as "standard deviation in pixels".
        low: Smallest strength.
        high: Largest strength.
        example: A usual strength.
        whole: ``True`` if only whole numbers are allowed.
    """

    unit: str
    low: float
    high: float
    example: float
    whole: bool = False


@dataclass(frozen=True)
class ImageRandom:
    """Random numbers for a batch of images; an image gets the same numbers in every batch.

    Attributes:
        keys: Seeds of the images' random numbers, ``int64 (N,)``; see
            :func:`caelab.randomness.image_keys`.
        stream: Number of a sequence of random numbers, from 0 to 63. Different sequences are
            independent.
    """

    keys: "Tensor"
    stream: int = 0

    def uniform(self, *shape: int) -> "Tensor":
        """Return numbers that are uniform in (0, 1], ``float32 (N, *shape)``."""
        from caelab.randomness import uniform

        return uniform(self.keys, math.prod(shape), self.stream).view(-1, *shape)

    def normal(self, *shape: int) -> "Tensor":
        """Return standard normal numbers, ``float32 (N, *shape)``."""
        from caelab.randomness import normal

        return normal(self.keys, math.prod(shape), self.stream).view(-1, *shape)


class DegradationKind:
    """Base class of degradations; a subclass describes one degradation and applies it.

    >>> import caelab, torch
    >>> class Darken(caelab.DegradationKind):
    ...     name = "darken"
    ...     help = "multiplies all values by one half"
    ...
    ...     def apply(self, images, strength, random):
    ...         return images / 2
    >>> kind = Darken()
    >>> kind.apply(torch.ones(2, 3, 8, 8), 0.0, kind.random_numbers(torch.arange(2))).mean()
    tensor(0.5000)

    After ``@caelab.register``, the name ``darken`` can be used wherever a degradation is named.

    Attributes:
        name: Word in texts such as ``gray+noise0.1``, of lower-case letters only.
        help: What the degradation does, in one line, such as "blurs by a Gaussian".
        strength: Meaning and range of the number after the word; ``None`` if there is no number.
        random: True if it draws random numbers, which differ for each image and each epoch.
        on_host: True if the CPU computes it even if the images are on a GPU.
        keeps_luminance: True if the result has the luma of the clean image, so that only chroma is
            lost.
        marks_missing: True if missing pixels of the result have the value ``MISSING``.
        takes: Numbers of channels that images may have; empty if any number is allowed.
        stream: Number of its sequence of random numbers, from 0 to 63; ``None`` if the sequence
            depends on the name.
    """

    registry: ClassVar["Registry[DegradationKind]"] = Registry(
        "degradation", pattern="(?!none$)[a-z]+"
    )
    name: ClassVar[str]
    help: ClassVar[str] = ""
    strength: ClassVar[Strength | None] = None
    random: ClassVar[bool] = False
    on_host: ClassVar[bool] = False
    keeps_luminance: ClassVar[bool] = False
    marks_missing: ClassVar[bool] = False
    takes: ClassVar[tuple[int, ...]] = ()
    stream: ClassVar[int | None] = None

    @classmethod
    def example(cls) -> str:
        """Return the word with a usual strength, such as ``noise0.1``."""
        return cls.name + (f"{cls.strength.example:g}" if cls.strength else "")

    def channels(self, channels: int) -> int:
        """Return the number of channels of the result for images of ``channels`` channels."""
        return channels

    def apply(self, images: "Tensor", strength: float, random: ImageRandom) -> "Tensor":
        """Degrade images; the result may share memory with them.

        Args:
            images: ``(N, C, H, W)``, floating point, C = 1 or 3. They are in [0, 1] unless a
                degradation before this one has left that range.
            strength: The number after the word; 0 if the kind takes no number.
            random: Source of all random numbers.

        Returns:
            Degraded images of the same size and type, ``(N, channels(C), H, W)``.
        """
        raise NotImplementedError(f"{type(self).__qualname__} must define `apply`")

    def random_numbers(self, keys: "Tensor") -> ImageRandom:
        """Return the source of this kind's random numbers for images with keys ``int64 (N,)``."""
        if self.stream is not None:
            return ImageRandom(keys, self.stream)
        # 64 streams are too few for a separate stream of each name, so the name changes the keys.
        digest = hashlib.sha256(self.name.encode()).digest()
        return ImageRandom(keys ^ int.from_bytes(digest[:8], "little", signed=True))


@register
class Gray(DegradationKind):
    """Reduction to BT.601 luma; images of one channel stay as they are."""

    name = "gray"
    help = "keeps the BT.601 luma only, one channel"
    takes = (3,)
    keeps_luminance = True

    def channels(self, channels: int) -> int:
        """Return 1, the number of channels of a gray image."""
        return 1

    def apply(self, images: "Tensor", strength: float, random: ImageRandom) -> "Tensor":
        """Return the luma, ``(N, 1, H, W)``.

        Args:
            images: Images ``(N, 1 or 3, H, W)``.
            strength: Not used.
            random: Not used.
        """
        return gray(images)


@register
class Noise(DegradationKind):
    """Additive Gaussian noise."""

    name = "noise"
    help = "adds Gaussian noise, not clipped"
    strength = Strength(unit="standard deviation, on [0, 1]", low=0.001, high=1, example=0.1)
    random = True
    stream = 1  # fixed, as in `Mask`, so that earlier runs can be repeated

    def apply(self, images: "Tensor", strength: float, random: ImageRandom) -> "Tensor":
        """Return images plus noise, not clipped.

        Args:
            images: Images ``(N, C, H, W)``.
            strength: Standard deviation of the noise, on [0, 1].
            random: Source of the noise.
        """
        channels, height, width = images.shape[1:]
        # Numbers are drawn in the order height, width, channels. The order must not change, because
        # a repeated run must get the same noise.
        drawn = random.normal(height, width, channels).permute(0, 3, 1, 2)
        return images + drawn.to(images.dtype) * strength


@register
class Blur(DegradationKind):
    """Gaussian blur."""

    name = "blur"
    help = "blurs by a Gaussian, with the image mirrored at its border"
    strength = Strength(unit="standard deviation in pixels", low=0.1, high=32, example=1.5)

    def apply(self, images: "Tensor", strength: float, random: ImageRandom) -> "Tensor":
        """Return blurred images.

        Args:
            images: Images ``(N, C, H, W)``.
            strength: Standard deviation of the Gaussian, in pixels.
            random: Not used.
        """
        return blur(images, strength)


@register
class Mask(DegradationKind):
    """Random missing pixels."""

    name = "mask"
    help = "sets random pixels to −0.5 in all channels"
    strength = Strength(unit="probability", low=0.01, high=0.99, example=0.25)
    random = True
    marks_missing = True
    stream = 3

    def apply(self, images: "Tensor", strength: float, random: ImageRandom) -> "Tensor":
        """Return images with ``MISSING`` in all channels of missing pixels.

        Args:
            images: Images ``(N, C, H, W)``.
            strength: Probability that a pixel is missing.
            random: Source of the missing pixels' positions.
        """
        # One number for all channels, because a pixel is missing as a whole.
        missing = random.uniform(1, *images.shape[2:]) <= strength
        return images.masked_fill(missing, MISSING)


@register
class Downscale(DegradationKind):
    """Loss of resolution."""

    name = "downscale"
    help = "averages squares of pixels and enlarges the result bicubically to the old size"
    strength = Strength(unit="factor", low=2, high=32, example=2, whole=True)

    def apply(self, images: "Tensor", strength: float, random: ImageRandom) -> "Tensor":
        """Return images of the same size without fine detail.

        Args:
            images: Images ``(N, C, H, W)``.
            strength: Factor by which the resolution is lowered, a whole number.
            random: Not used.
        """
        return downscale(images, int(strength))


@register
class Jpeg(DegradationKind):
    """JPEG compression by libjpeg, chroma at half the resolution (4:2:0)."""

    name = "jpeg"
    help = "writes the image as a JPEG and reads it back"
    strength = Strength(unit="quality of libjpeg", low=1, high=100, example=20, whole=True)
    on_host = True
    takes = (1, 3)

    def apply(self, images: "Tensor", strength: float, random: ImageRandom) -> "Tensor":
        """Compress images as JPEG and decode them, to multiples of 1/255 and without a gradient.

        Args:
            images: Images ``(N, C, H, W)``; values outside [0, 1] are clipped.
            strength: Quality of libjpeg, 1 to 100, a whole number.
            random: Not used.
        """
        import numpy as np
        import torch

        # A JPEG stores bytes, so values outside [0, 1], such as after noise, are clipped.
        clipped = images.detach().clamp(0, 1).mul(255).round().byte()
        pixels = clipped.permute(0, 2, 3, 1).cpu().numpy()
        read = np.stack([_through_jpeg(image, int(strength)) for image in pixels])
        restored = torch.from_numpy(read).to(images.device).permute(0, 3, 1, 2)
        return restored.to(images.dtype).div_(255)


def gray(images: "Tensor") -> "Tensor":
    """Return the BT.601 luma of RGB, otherwise the mean of the channels, ``(N, 1, H, W)``."""
    from caelab.color import luminance

    return luminance(images) if images.shape[1] == 3 else images.mean(1, keepdim=True)


def blur(images: "Tensor", deviation: float) -> "Tensor":
    """Convolve ``(N, C, H, W)`` with a Gaussian that is cut off at 4 standard deviations.

    The image is mirrored at its border, so that the outermost pixels appear twice.
    """
    # A blur is linear in rows and in columns, so two small matrix products compute it, on every
    # device and with a gradient.
    rows, columns = (
        _blur_matrix(size, deviation, images.dtype, images.device) for size in images.shape[2:]
    )
    return rows @ images @ columns.T


def downscale(images: "Tensor", factor: int) -> "Tensor":
    """Average squares of ``factor`` pixels and enlarge the result to the old size.

    The interpolation is bicubic (Keys' a = −0.5), clipped to [0, 1]. Where a side is no multiple
    of the factor, the squares become slightly smaller rectangles, which overlap.

    Args:
        images: ``(N, C, H, W)``, clipped to [0, 1] first.
        factor: Pixels on a side of a square.
    """
    import torch.nn.functional as F

    height, width = images.shape[2:]
    small = F.adaptive_avg_pool2d(images.clamp(0, 1), (-(-height // factor), -(-width // factor)))
    # Bicubic weights are partly negative: next to an edge the result leaves [0, 1].
    return F.interpolate(small, size=(height, width), mode="bicubic", antialias=True).clamp(0, 1)


# Cached, because every step of a training asks for the same matrix.
@lru_cache(maxsize=16)
def _blur_matrix(
    size: int, deviation: float, dtype: "torch.dtype", device: "torch.device"
) -> "Tensor":
    """Return the linear map that blurs a line of ``size`` pixels, ``(size, size)``."""
    import numpy as np
    import torch
    from scipy.ndimage import gaussian_filter1d

    return torch.from_numpy(gaussian_filter1d(np.eye(size), deviation, axis=0)).to(device, dtype)


def _through_jpeg(image: "np.ndarray", quality: int) -> "np.ndarray":
    """Compress an image ``uint8 (H, W, C)`` as JPEG, and return the decoded image."""
    import numpy as np
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(
        file, "JPEG", quality=quality
    )
    with Image.open(file) as opened:
        return np.asarray(opened).reshape(image.shape)
