"""The two ways of a picture through a network: colorized at the scale that the network knows, or
restored tile by tile.

colorize   picture ──► luma, reduced ──► network ──► chroma ──► guided up ──► with the picture's own luma
restore    picture ──► tiles of full size ──► network ──► tiles, joined
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from caelab.degrade.kinds import MISSING
from caelab.errors import InputError
from caelab.pictures.color_profile import ColorProfile
from caelab.pictures.joint_bilateral import GuidedChroma, Size
from caelab.pictures.luma import Floats, chroma, luma, merge
from caelab.pictures.picture import Picture, Values
from caelab.pictures.picture_model import PictureModel
from caelab.pictures.tiles import BATCH_PIXELS, TILE, in_tiles

STRIP_PIXELS = 2**18
"""Colors are brought to full size so many pixels at a time: what is worked on stays in the
processor's cache."""

PHOTOGRAPH = 1.5
"""Photographs are seen at so many times the size that the network was trained on: of 32, 48 and 64
pixels, 48 gave nine photographs of scikit-image and scikit-learn the least color difference
(CIEDE2000 11.8, 11.3 and 12.0; ``python -m benchmarks.photographs``)."""

LONGEST = 8
"""A view for the network is at most so many times longer than wide; longer pictures are squeezed
for it."""


def colorize(
    model: PictureModel,
    pictures: Sequence[Picture],
    *,
    scales: Sequence[int] | None = None,
    saturation: float = 1.0,
    threads: int = 2,
) -> list[Picture]:
    """Color pictures; their luma stays as it is, within the rounding of their values.

    The network sees each picture reduced (or enlarged) so that its shorter side has about ``scale``
    pixels; what it says at several scales is averaged. A picture of exactly that size gets the
    network's chroma as it is.

    Args:
        model: Gray, or gray in three channels, to chroma or RGB, of which the chroma counts.
        pictures: Those of one size go through the network together. Colors that they have are not
            looked at.
        scales: In pixels; by default half as much again as the images that the model was trained
            on, but for pictures that have no more pixels than these.
        saturation: What the colors are multiplied by: those of a network that was trained by
            squared error are pale.
        threads: How many bring the colors to full size.

    Returns:
        RGB pictures with the depth, alpha, EXIF and (RGB) profile of the given ones.

    Raises:
        InputError: A scale is smaller than 1, there is none, or the model gives nothing finite.
    """
    if scales is not None and (not scales or min(scales) < 1):
        raise InputError("to colorize, at least one scale is needed, of 1 pixel or more.")
    prepared = [_srgb_gray(picture) for picture in pictures]
    found: list[list[Floats]] = [[] for _ in pictures]
    for scale in scales or (None,):
        sizes = [_view_size(picture.size, scale=scale, model=model) for picture in prepared]
        for size in dict.fromkeys(sizes):
            members = [index for index, own in enumerate(sizes) if own == size]
            at_once = max(1, BATCH_PIXELS // (size[0] * size[1]))
            for first in range(0, len(members), at_once):
                batch = members[first : first + at_once]
                views = np.stack([_view(prepared[index], size) for index in batch])
                for index, planes in zip(batch, _predict(model, views), strict=True):
                    found[index].append(planes)
    return [
        _colored(picture, saturation * _averaged(planes), threads=threads)
        for picture, planes in zip(prepared, found, strict=True)
    ]


def restore(model: PictureModel, pictures: Sequence[Picture], *, tile: int = TILE) -> list[Picture]:
    """Apply an image → image model at full size: denoise, deblur, reconstruct. What is beside the
    pixels stays.

    For a model of missing pixels those are missing that are wholly transparent. They are filled and
    become opaque; where nothing but that is to be undone, all other pixels stay as they are.

    A gray picture is given to a model of RGB in three equal channels, of whose result the luma is
    kept; each channel of an RGB picture is given to a model of gray. Values are taken as they are,
    whatever the color profile.

    Args:
        model: As many channels out as in, in [0, 1].
        pictures: Those of one size, where it is small, go through the network together.
        tile: Side in pixels of the tiles of large pictures.

    Raises:
        InputError: The model gives nothing finite, or no pixel of a picture is transparent where
            some must be.
    """
    if model.degradation.marks_missing and any(
        picture.alpha is None or picture.alpha.all() for picture in pictures
    ):
        raise InputError(
            "no pixel is wholly transparent, so that none is missing. Erase what is to be filled in"
            " a format that has transparency, such as PNG."
        )
    return [
        restored for group in _alike(pictures) for restored in _restore_alike(model, group, tile)
    ]


def _restore_alike(model: PictureModel, pictures: Sequence[Picture], tile: int) -> list[Picture]:
    """Restore pictures of one size, type and channels: below one another they are a batch."""
    given = pictures[0].pixels.shape[2]
    results = [np.empty_like(picture.pixels) for picture in pictures]
    marks = model.degradation.marks_missing
    height, width = pictures[0].size

    def function(images: Floats) -> Floats:
        """(N, P·C, H, W): the pictures' channels beside one another, so that tiles of all go
        together.
        """
        apart = images.reshape(-1, given, *images.shape[2:])
        if model.channels == 1 and given == 3:
            apart = apart.reshape(-1, 1, *images.shape[2:])
        elif model.channels == 3 and given == 1:
            apart = apart.repeat(3, axis=1)
        restored = _finite(model(apart))
        if model.channels == 3 and given == 1:
            restored = luma(np.moveaxis(restored, 1, -1))
        return restored.reshape(images.shape)

    def read(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Floats:
        parts = [picture.pixels[np.ix_(rows, columns)].transpose(2, 0, 1) for picture in pictures]
        values = np.concatenate(parts).astype(np.float32) * np.float32(1 / pictures[0].most)
        if marks:
            missing = [
                picture.alpha[np.ix_(rows, columns)] == 0
                for picture in pictures
                if picture.alpha is not None
            ]
            values[np.repeat(missing, given, axis=0)] = MISSING
        return values

    together = PictureModel(function=function, channels=given, geometry=model.geometry)
    for top, band in in_tiles(together, read, (height, width), tile=tile):
        for index, result in enumerate(results):
            part = band[index * given : (index + 1) * given].transpose(1, 2, 0)
            result[top : top + part.shape[0]] = _quantised(part, pictures[0].most)
    made = zip(pictures, results, strict=True)
    if marks:
        return [
            _filled(picture, pixels, alone=len(model.degradation.steps) == 1)
            for picture, pixels in made
        ]
    return [replace(picture, pixels=pixels) for picture, pixels in made]


def _filled(picture: Picture, pixels: Values, *, alone: bool) -> Picture:
    """The picture without holes; of ``pixels`` only these count where nothing else was to be
    undone.
    """
    assert picture.alpha is not None
    missing = picture.alpha == 0
    if alone:
        pixels = np.where(missing[..., None], pixels, picture.pixels)
    alpha = picture.alpha.copy()
    alpha[missing] = picture.most
    return replace(picture, pixels=pixels, alpha=alpha)


def _alike(pictures: Iterable[Picture]) -> Iterable[list[Picture]]:
    """Cut into runs of pictures of one size, type and channels, of limited pixels in all."""
    group: list[Picture] = []
    for picture in pictures:
        alike = (
            group
            and picture.pixels.shape == group[0].pixels.shape
            and picture.most == group[0].most
        )
        height, width = picture.size
        if group and not (alike and (len(group) + 1) * height * width <= BATCH_PIXELS):
            yield group
            group = []
        group.append(picture)
    if group:
        yield group


def _srgb_gray(picture: Picture) -> Picture:
    """A gray picture with a profile of its own, in sRGB's gray; any other one as it is."""
    if picture.icc is None or picture.pixels.shape[2] != 1:
        return picture
    try:
        profile = ColorProfile(picture.icc)
        curve = (
            profile.gray_curve()
            if profile.space == "GRAY"
            else np.linspace(0, 1, 256, dtype=np.float32)
        )
    except ValueError as error:
        return replace(picture, icc=None).noting(f"{error}; the picture was taken for sRGB")
    levels = np.interp(np.linspace(0, 255, picture.most + 1), np.arange(256), curve) * picture.most
    return replace(
        picture, icc=None, pixels=np.rint(levels).astype(picture.pixels.dtype)[picture.pixels]
    )


def _view_size(size: Size, *, scale: int | None, model: PictureModel) -> Size:
    if (fixed := model.geometry.fixed) is not None:
        return fixed, fixed
    multiple, shorter = model.geometry.multiple, min(size)
    if scale is None:
        scale = min(max(shorter, model.size), round(PHOTOGRAPH * model.size))
    wanted = (min(side * scale / shorter, LONGEST * scale) for side in size)
    height, width = (max(1, round(side / multiple)) * multiple for side in wanted)
    return height, width


def _view(picture: Picture, size: Size) -> Floats:
    """What the network is given: gray of sRGB, float32 (1, h, w) in [0, 1]."""
    seen = picture.reduced(size, Image.Resampling.LANCZOS)
    if (profile := wide_profile(picture)) is not None:
        seen = profile.to_srgb(seen)
    return luma(_unit(seen))[None]


def wide_profile(picture: Picture) -> ColorProfile | None:
    """The profile of an RGB picture that is in no sRGB; one that cannot be used counts as sRGB."""
    if picture.icc is None or picture.pixels.shape[2] != 3:
        return None
    try:
        profile = ColorProfile(picture.icc)
    except ValueError:
        return None
    return profile if profile.space == "RGB" and not profile.is_srgb else None


def _predict(model: PictureModel, views: Floats) -> Floats:
    """Return chroma, float32 (N, 2, h, w), for gray views (N, 1, h, w)."""
    outputs = _finite(model(views if model.channels == 1 else views.repeat(model.channels, axis=1)))
    if outputs.shape[1] == 2:
        return outputs
    return np.moveaxis(chroma(np.moveaxis(outputs, 1, -1)), 0, 1)


def _finite(outputs: Floats) -> Floats:
    if not np.isfinite(outputs).all():
        raise InputError(
            "the model gives values that are not finite; its weights are damaged or of a failed"
            " training."
        )
    return outputs


def _averaged(predictions: Sequence[Floats]) -> Floats:
    """The mean of chroma (2, h, w) of several sizes, at the largest."""
    height, width = max((planes.shape[1:] for planes in predictions), key=np.prod)
    enlarged = [
        [
            np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))
            for plane in planes
        ]
        for planes in predictions
    ]
    mean: Floats = np.mean(enlarged, axis=0, dtype=np.float32)
    return mean


def _colored(picture: Picture, planes: Floats, *, threads: int) -> Picture:
    height, width = picture.size
    if (profile := wide_profile(picture)) is not None:
        # The same colors in the picture's own numbers, so that its luma in these stays as it is.
        gray = _view(picture, planes.shape[1:])[0]
        planes = chroma(_unit(profile.from_srgb(_quantised(merge(gray, planes), 255))))

    def guide(size: Size) -> Floats:
        return luma(_unit(picture.reduced(size, Image.Resampling.BOX)))

    guided = GuidedChroma(planes, size=picture.size, guide=guide)
    pixels = np.empty((height, width, 3), picture.pixels.dtype)
    rows = max(1, STRIP_PIXELS // width)

    def color(top: int) -> None:
        gray = luma(picture.values(slice(top, top + rows)))
        pixels[top : top + rows] = _quantised(merge(gray, guided.rows(gray, top=top)), picture.most)

    tops = range(0, height, rows)
    if len(tops) == 1:
        color(0)
    else:
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(color, tops):
                pass
    return replace(picture, pixels=pixels)


def _unit(values: Values) -> Floats:
    return values.astype(np.float32) * np.float32(1 / 255)


def _quantised(values: Floats, most: int) -> Values:
    """Round [0, 1], which is clipped to, to integers of 0 to ``most``."""
    scaled = values.clip(0, 1) * np.float32(most) + np.float32(0.5)
    quantised: Values = scaled.astype(np.uint8 if most == 255 else np.uint16)
    return quantised
