"""Color spaces: sRGB to a lightness and two chroma planes, and back; and what to do with colors
outside sRGB.

Images are ``(N, 3, H, W)``, float32 or float64, on any device; every conversion is differentiable,
black included. RGB is sRGB: gamma-encoded, in [0, 1], BT.709 primaries, white D65. No conversion
clips; :func:`merge` does. kornia is imported where it is needed: it takes a third of a second, and
most runs do without.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor

_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114

_OKLAB_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_OKLAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
"""From linear sRGB to cone responses, and from their cube roots to OkLab (Ottosson 2020,
bottosson.github.io)."""

_DARKEST_CONE = 1e-6
"""Below this cone response OkLab's cube root, steep without bound at 0, is continued by its chord
to 0."""


def luminance(rgb: Tensor) -> Tensor:
    """Return the ITU-R BT.601 luma Y′ = 0.299 R′ + 0.587 G′ + 0.114 B′, ``(N, 3, H, W)`` → ``(N, 1,
    H, W)``.

    It is the weighted sum of *gamma-encoded* values in [0, 1], which is what "grayscale" means to
    Pillow, OpenCV and JPEG; strictly a luma, as luminance is a sum of linear light. A gray pixel
    (v, v, v) has the luma v.
    """
    red, green, blue = rgb.unbind(1)
    return (_RED * red + _GREEN * green + _BLUE * blue).unsqueeze(1)


def gray_rgb(luma: Tensor) -> Tensor:
    """Return the gray image of a luma, ``(N, 1, H, W)`` → ``(N, 3, H, W)``: a view, all channels
    the same.
    """
    return luma.expand(-1, 3, -1, -1)


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """Return Y′ in [0, 1] and Cb, Cr in [−0.5, 0.5], 0 for gray: ITU-R BT.601, full range
    (JPEG).
    """
    luma = luminance(rgb).squeeze(1)
    red, _, blue = rgb.unbind(1)
    return torch.stack(
        [luma, (blue - luma) / (2 * (1 - _BLUE)), (red - luma) / (2 * (1 - _RED))], dim=1
    )


def ycbcr_to_rgb(ycbcr: Tensor) -> Tensor:
    """Invert :func:`rgb_to_ycbcr`."""
    luma, cb, cr = ycbcr.unbind(1)
    blue, red = luma + 2 * (1 - _BLUE) * cb, luma + 2 * (1 - _RED) * cr
    return torch.stack([red, (luma - _RED * red - _BLUE * blue) / _GREEN, blue], dim=1)


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Return CIELAB (1976; D65, 2° observer): L in [0, 100], a and b within ±110 for sRGB, 0 for
    gray.
    """
    from kornia.color import rgb_to_lab as convert

    return convert(rgb)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Invert :func:`rgb_to_lab`."""
    from kornia.color import lab_to_rgb as convert

    return convert(lab, clip=False)


def rgb_to_oklab(rgb: Tensor) -> Tensor:
    """Return OkLab (Ottosson 2020): L in [0, 1], a and b within ±0.33 for sRGB, 0 for gray."""
    from kornia.color import rgb_to_linear_rgb

    cones = _mix(_OKLAB_CONES, rgb_to_linear_rgb(rgb))
    roots = cones.sign() * cones.abs().clamp(min=_DARKEST_CONE) ** (1 / 3)
    return _mix(
        _OKLAB, torch.where(cones.abs() > _DARKEST_CONE, roots, cones * _DARKEST_CONE ** (-2 / 3))
    )


def oklab_to_rgb(oklab: Tensor) -> Tensor:
    """Invert :func:`rgb_to_oklab`."""
    from kornia.color import linear_rgb_to_rgb

    roots = _mix(_OKLAB, oklab, inverse=True)
    cones = torch.where(
        roots.abs() > _DARKEST_CONE ** (1 / 3), roots**3, roots * _DARKEST_CONE ** (2 / 3)
    )
    return linear_rgb_to_rgb(_mix(_OKLAB_CONES, cones, inverse=True))


@dataclass(frozen=True, kw_only=True)
class ColorSpace:
    """A space whose plane 0 is the lightness and whose planes 1 and 2 are the chroma, 0 for gray.

    Attributes:
        name: The word for it.
        from_rgb: sRGB → this space, ``(N, 3, H, W)`` both.
        to_rgb: The inverse; what lies outside sRGB comes out outside [0, 1].
        lightness_range: Lightness of white; black has 0.
        chroma_scale: A typical deviation of the chroma from gray, in the space's unit (the root of
            its mean square over the training images of CIFAR-10): divided by it, both planes
            together have about unit variance.
    """

    name: str
    from_rgb: Callable[[Tensor], Tensor]
    to_rgb: Callable[[Tensor], Tensor]
    lightness_range: float
    chroma_scale: float

    def chroma(self, rgb: Tensor) -> Tensor:
        """Return the two chroma planes of an image, ``(N, 3, H, W)`` → ``(N, 2, H, W)``."""
        return self.from_rgb(rgb)[:, 1:]


SPACES = {
    space.name: space
    for space in (
        ColorSpace(
            name="ycbcr",
            from_rgb=rgb_to_ycbcr,
            to_rgb=ycbcr_to_rgb,
            lightness_range=1.0,
            chroma_scale=0.06,
        ),
        ColorSpace(
            name="lab",
            from_rgb=rgb_to_lab,
            to_rgb=lab_to_rgb,
            lightness_range=100.0,
            chroma_scale=14.0,
        ),
        ColorSpace(
            name="oklab",
            from_rgb=rgb_to_oklab,
            to_rgb=oklab_to_rgb,
            lightness_range=1.0,
            chroma_scale=0.036,
        ),
    )
}
"""The color spaces, by name."""

Gamut = Literal["clip", "desaturate"]
"""What :func:`merge` does with a color outside sRGB."""


def merge(luma: Tensor, chroma: Tensor, space: ColorSpace, *, gamut: Gamut = "clip") -> Tensor:
    """Put chroma on a luma: ``(N, 1, H, W)`` and ``(N, 2, H, W)`` → RGB in [0, 1], ``(N, 3, H,
    W)``.

    The lightness is that of the gray pixel of this luma. In YCbCr that is the luma itself; in Lab
    and OkLab a color and a gray of the same lightness differ in luma, and so does the result.

    Args:
        luma: BT.601 luma in [0, 1].
        chroma: The two chroma planes, in the space's unit, of any size: most combinations are no
            color of sRGB (of YCbCr's own box only 23.6% are).
        space: Where the chroma is from.
        gamut: ``"clip"`` clips each channel: the nearest color of sRGB, which moves the luma by up
            to 0.31 (the chroma of magenta on black). ``"desaturate"`` keeps the luma to rounding,
            see :func:`desaturate`.
    """
    lightness = space.from_rgb(gray_rgb(luma))[:, :1]
    rgb = space.to_rgb(torch.cat([lightness, chroma], dim=1))
    return rgb.clamp(0, 1) if gamut == "clip" else desaturate(rgb, luma)


def desaturate(rgb: Tensor, luma: Tensor) -> Tensor:
    """Return the colors of this luma that have the hue of ``rgb`` and the largest share of its
    chroma sRGB has.

    The chroma of YCbCr is kept where luma and chroma are a color of sRGB, and otherwise scaled
    down, towards the gray of the same luma, until they are.

    Args:
        rgb: Any values, ``(N, 3, H, W)``; its own luma does not matter.
        luma: BT.601 luma in [0, 1], ``(N, 1, H, W)``; the result has it, to rounding.
    """
    chroma = rgb - luminance(rgb)  # of no luma: luma + share · chroma has the luma for every share
    room = torch.where(chroma > 0, 1 - luma, luma)
    outside = chroma.abs() > room
    share = torch.where(outside, room / torch.where(outside, chroma.abs(), 1), 1).amin(
        dim=1, keepdim=True
    )
    return (luma + share * chroma).clamp(0, 1)


def _mix(matrix: tuple[tuple[float, ...], ...], image: Tensor, *, inverse: bool = False) -> Tensor:
    # On a GPU a copy from the host would be waited for at every call. On a CPU there is none to
    # save, and what was made while a model is exported must not be kept.
    weights = _weights if image.device.type == "cpu" else _kept_weights
    return torch.einsum("ij,njhw->nihw", weights(matrix, inverse, image.dtype, image.device), image)


def _weights(
    matrix: tuple[tuple[float, ...], ...], inverse: bool, dtype: torch.dtype, device: torch.device
) -> Tensor:
    weights = torch.tensor(matrix, dtype=torch.float64)
    return (torch.linalg.inv(weights) if inverse else weights).to(device, dtype)


_kept_weights = cache(_weights)
