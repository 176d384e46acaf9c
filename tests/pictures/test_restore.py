"""Colors are added and the luma stays; whatever else a picture has stays too."""

import io
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from caelab import color
from caelab.color import SPACES, luminance
from caelab.degrade.degradation import parse_degradation
from caelab.degrade.kinds import MISSING
from caelab.errors import InputError
from caelab.networks.build import build
from caelab.networks.parser import parse
from caelab.pictures.backends.base import Geometry, PictureModel, geometry_of
from caelab.pictures.colorize import colorize
from caelab.pictures.metadata import JpegCoding, Metadata
from caelab.pictures.picture import Picture
from caelab.pictures.restore import restore

Floats = NDArray[np.float32]


def luma(values: np.ndarray) -> np.ndarray:
    """Return the luma (H, W) of values (H, W, C)."""
    return luminance(np.moveaxis(values, -1, 0))[0]


def chroma(values: np.ndarray) -> np.ndarray:
    """Return YCbCr chroma (2, H, W) of values (H, W, 3)."""
    return SPACES["ycbcr"].chroma(np.moveaxis(values, -1, 0))


def merge(gray: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """Return RGB (H, W, 3) of luma (H, W) and YCbCr chroma (2, H, W)."""
    rgb = color.merge(gray[None], planes, SPACES["ycbcr"], gamut="desaturate")
    return np.moveaxis(rgb, 0, -1)


def wild(images: Floats) -> Floats:
    """Chroma far outside every gamut, that changes with place and luma."""
    y, x = np.mgrid[0 : images.shape[2], 0 : images.shape[3]].astype(np.float32)
    return np.concatenate([np.sin(7 * images + x), np.cos(5 * images + y)], axis=1)


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    channels=st.sampled_from([1, 3]),
    depth=st.sampled_from([np.uint8, np.uint16]),
    scales=st.sampled_from([(32,), (8,), (5, 16)]),
    seed=st.integers(0, 99),
)
def test_the_luma_stays_within_rounding(
    height: int, width: int, channels: int, depth: type, scales: tuple[int, ...], seed: int
) -> None:
    most = np.iinfo(depth).max
    pixels = (
        np.random.default_rng(seed).integers(0, most + 1, (height, width, channels)).astype(depth)
    )
    model = PictureModel(
        function=wild, channels=1, color_space="ycbcr", geometry=Geometry(multiple=4)
    )
    (result,) = colorize(model, [Picture(pixels=pixels)], scales=scales)
    assert result.pixels.shape == (height, width, 3)
    assert result.pixels.dtype == depth
    before, after = (
        luma(values.astype(np.float32) / most) * most for values in (pixels, result.pixels)
    )
    assert np.abs(before - after).max() <= 0.5 + most * 1e-6
    assert np.ptp(result.pixels.astype(int), axis=2).max() > 0 or np.isin(pixels, [0, most]).all()


def test_chroma_is_the_models(tinting: PictureModel, scene: np.ndarray) -> None:
    middle = Picture(pixels=(scene[..., :1] // 2 + 64))
    (result,) = colorize(tinting, [middle])
    found = chroma(result.pixels.astype(np.float32) / 255)
    assert np.abs(found - np.array([0.08, -0.11]).reshape(2, 1, 1)).max() < 1.5 / 255


def test_a_small_picture_gets_exactly_what_the_network_says() -> None:
    network = build(
        parse("conv4 pool conv4 | up conv2"), channels=1, generator=torch.Generator().manual_seed(0)
    ).eval()
    seen = []

    @torch.inference_mode()
    def function(images: Floats) -> Floats:
        seen.append(images.shape)
        return network(torch.from_numpy(images)).numpy() * 0.1

    geometry = geometry_of(parse("conv4 pool conv4 | up conv2"), channels=1, size=32)
    model = PictureModel(function=function, channels=1, color_space="ycbcr", geometry=geometry)
    rng = np.random.default_rng(0)
    pictures = [
        Picture(pixels=rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)) for _ in range(5)
    ]
    results = colorize(model, pictures)
    assert seen == [(5, 1, 32, 32)]
    for picture, result in zip(pictures, results, strict=True):
        gray = luma(picture.pixels.astype(np.float32) / 255)
        expected = merge(gray, function(gray[None, None])[0])
        assert np.abs(result.pixels - expected * 255).max() < 0.51


def test_pictures_of_many_sizes_come_back_in_order(
    tinting: PictureModel, scene: np.ndarray
) -> None:
    parts = [scene[:40, :40], scene[:60], scene[20:60, 30:70], scene[:, :50]]
    pictures = [Picture(pixels=np.ascontiguousarray(part)) for part in parts]
    for picture, result in zip(pictures, colorize(tinting, pictures), strict=True):
        assert result.size == picture.size
        alone = colorize(tinting, [picture])[0]
        assert np.array_equal(result.pixels, alone.pixels)


@pytest.mark.parametrize("size", [(1, 1), (7, 5001), (5001, 7), (33, 500)])
def test_views_fit_the_network(size: tuple[int, int]) -> None:
    seen = []

    def function(images: Floats) -> Floats:
        seen.append(images.shape[2:])
        return np.zeros((len(images), 2, *images.shape[2:]), np.float32)

    model = PictureModel(
        function=function, channels=1, color_space="ycbcr", geometry=Geometry(multiple=8)
    )
    gray = np.random.default_rng(0).integers(0, 256, (*size, 1)).astype(np.uint8)
    (result,) = colorize(model, [Picture(pixels=gray)], scales=(64, 32))
    assert np.array_equal(result.pixels, gray.repeat(3, axis=2))
    for scale, (height, width) in zip((64, 32), seen, strict=True):
        assert height % 8 == width % 8 == 0
        assert min(height, width) == scale
        assert max(height, width) <= 8 * scale


def test_scales_are_averaged(scene: np.ndarray) -> None:
    def function(images: Floats) -> Floats:
        return np.full(
            (len(images), 2, *images.shape[2:]), images.shape[2] / 640, np.float32
        )  # 0.05 and 0.1

    model = PictureModel(
        function=function, channels=1, color_space="ycbcr", geometry=Geometry(multiple=2)
    )
    picture = Picture(pixels=np.full((90, 130, 1), 128, np.uint8))
    (result,) = colorize(model, [picture], scales=(32, 64))
    np.testing.assert_allclose(chroma(result.pixels.astype(np.float32) / 255), 0.075, atol=1 / 255)


@pytest.mark.parametrize(
    ("size", "seen_at"), [((20, 30), 32), ((32, 32), 32), ((40, 60), 40), ((90, 130), 48)]
)
def test_photographs_are_seen_larger_than_training_images(
    size: tuple[int, int], seen_at: int
) -> None:
    def function(images: Floats) -> Floats:
        assert min(images.shape[2:]) == seen_at
        return np.zeros((len(images), 2, *images.shape[2:]), np.float32)

    model = PictureModel(
        function=function, channels=1, color_space="ycbcr", geometry=Geometry(multiple=2), size=32
    )
    colorize(model, [Picture(pixels=np.full((*size, 1), 128, np.uint8))])


def test_photographs_are_seen_and_colored_as_the_model_says(tinting: PictureModel) -> None:
    seen = []

    def function(images: Floats) -> Floats:
        seen.append(min(images.shape[2:]))
        return tinting.function(images)

    model = replace(
        tinting,
        function=function,
        size=32,
        scales=(32, 64),
        saturation=0.4,
        variants=lambda *_: function,
    )
    small, large = (Picture(pixels=np.full((side, 90, 1), 128, np.uint8)) for side in (63, 64))

    def colored(model: PictureModel, picture: Picture, **options: object) -> tuple[float, set[int]]:
        seen.clear()
        (result,) = colorize(model, [picture], **options)  # type: ignore[arg-type]
        planes = chroma(result.pixels.astype(np.float32) / 255)
        strength = float(np.hypot(*planes.mean(axis=(1, 2)))) / math.hypot(0.08, 0.11)
        return pytest.approx(strength, abs=0.03), set(seen)

    assert colored(model, small) == (1, {48})
    assert colored(model, large) == (0.4, {32, 64})
    assert colored(model, large, saturation=1.0) == (1, {32, 64})
    assert colored(model, large, scales=[40]) == (0.4, {40})
    # An answer that is drawn is as colorful as it is.
    assert colored(model.variant(0, 0), large) == (1, {48})


def test_saturation_multiplies_the_chroma_and_leaves_the_luma(
    tinting: PictureModel, scene: np.ndarray
) -> None:
    middle = Picture(pixels=(scene[..., :1] // 2 + 64))
    gray, plain, livelier = (
        colorize(tinting, [middle], saturation=saturation)[0].pixels.astype(np.float32) / 255
        for saturation in (0, 1, 1.5)
    )
    assert (np.ptp(gray, axis=2) < 1.5 / 255).all()
    assert np.abs(chroma(livelier) - 1.5 * chroma(plain)).max() < 2 / 255
    assert np.abs(luma(livelier) - luma(plain)).max() < 1.5 / 255


def test_a_model_of_rgb_lends_its_chroma_alone(scene: np.ndarray) -> None:
    shade = np.array([0.7, 0.5, 0.2], np.float32)

    def function(images: Floats) -> Floats:
        assert (images[:, :1] == images).all()
        return np.broadcast_to(shade.reshape(1, 3, 1, 1), images.shape)

    model = PictureModel(function=function, channels=3)
    (result,) = colorize(model, [Picture(pixels=np.full((50, 50, 1), 120, np.uint8))])
    expected = merge(np.float32([[120 / 255]]), chroma(shade[None, None])) * 255
    assert np.abs(result.pixels - expected).max() < 0.51


def test_what_is_beside_the_pixels_stays(
    tinting: PictureModel, scene: np.ndarray, wide_profile: bytes
) -> None:
    alpha = np.arange(90 * 130, dtype=np.uint8).reshape(90, 130)
    picture = Picture(
        pixels=scene,
        alpha=alpha,
        format="TIFF",
        icc=wide_profile,
        metadata=Metadata(exif=b"Exif\0\0x"),
        notes=("first",),
    )
    identity = PictureModel(function=lambda images: images)
    for result in (colorize(tinting, [picture])[0], restore(identity, [picture])[0]):
        assert result.alpha is alpha
        assert (result.format, result.icc) == ("TIFF", wide_profile)
        assert result.metadata.exif == b"Exif\0\0x"
        assert result.notes == ("first",)


def test_in_a_wide_gamut_the_colors_look_the_same_and_the_numbers_keep_their_luma(
    tinting: PictureModel, wide_profile: bytes, scene: np.ndarray
) -> None:
    gray = scene[..., :1] // 2 + 64
    plain = colorize(tinting, [Picture(pixels=gray)])[0].pixels
    wide = colorize(tinting, [Picture(pixels=gray.repeat(3, axis=2), icc=wide_profile)])[0].pixels
    assert np.abs(luma(wide.astype(np.float32)) - gray[..., 0]).max() <= 0.51
    assert np.abs(wide.astype(int) - plain).max() > 4  # other numbers …
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(wide_profile)),
        ImageCms.createProfile("sRGB"),
        "RGB",
        "RGB",
    )
    shown = np.asarray(ImageCms.applyTransform(Image.fromarray(wide), transform))
    assert (
        np.abs(chroma(shown / np.float32(255)) - chroma(plain / np.float32(255))).max() < 0.02
    )  # … of one color


def test_gray_of_another_curve_is_brought_to_srgb(
    tinting: PictureModel, linear_gray_profile: bytes
) -> None:
    for depth in (np.uint8, np.uint16):
        most = np.iinfo(depth).max
        picture = Picture(
            pixels=np.full((40, 40, 1), round(0.214 * most), depth), icc=linear_gray_profile
        )
        (result,) = colorize(tinting, [picture])
        assert result.icc is None
        # 21.4% of the light are 50% of sRGB's range.
        np.testing.assert_allclose(luma(result.pixels.astype(np.float32) / most), 0.5, atol=0.006)


def test_a_profile_of_colors_is_that_of_the_result_of_gray(
    tinting: PictureModel, scene: np.ndarray, wide_profile: bytes
) -> None:
    gray = scene[..., :1]
    one, three = colorize(
        tinting,
        [Picture(pixels=pixels, icc=wide_profile) for pixels in (gray, gray.repeat(3, axis=2))],
    )
    assert one.icc == wide_profile
    assert np.array_equal(one.pixels, three.pixels)


def test_a_profile_that_cannot_be_used_is_kept_or_said(
    tinting: PictureModel, scene: np.ndarray
) -> None:
    (color,) = colorize(tinting, [Picture(pixels=scene, icc=b"no profile")])
    assert color.icc == b"no profile"
    assert np.array_equal(color.pixels, colorize(tinting, [Picture(pixels=scene)])[0].pixels)
    (gray,) = colorize(tinting, [Picture(pixels=scene[..., :1], icc=b"no profile")])
    assert gray.icc is None
    assert "the picture was treated as sRGB" in gray.notes[0]


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("model_channels", [1, 3])
def test_the_identity_changes_nothing(depth: type, channels: int, model_channels: int) -> None:
    def function(images: Floats) -> Floats:
        assert images.shape[1] == model_channels
        return images

    most = np.iinfo(depth).max
    rng = np.random.default_rng(0)
    pictures = [
        Picture(pixels=rng.integers(0, most + 1, (*size, channels)).astype(depth))
        for size in ((50, 40), (50, 40), (130, 150), (1, 1))
    ]
    model = PictureModel(
        function=function, channels=model_channels, geometry=Geometry(multiple=4, field=9)
    )
    for picture, result in zip(pictures, restore(model, pictures, tile=64), strict=True):
        difference = np.abs(result.pixels.astype(int) - picture.pixels)
        assert difference.max() <= (0 if model_channels == channels or most == 255 else 1)


def test_gray_in_three_channels_stays_gray(scene: np.ndarray) -> None:
    def reddening(images: Floats) -> Floats:
        return np.stack([images[:, 0] * 1.2, images[:, 1], images[:, 2] * 0.7], axis=1)

    gray = scene[..., :1].repeat(3, axis=2)
    one, three, color = restore(
        PictureModel(function=reddening),
        [Picture(pixels=each) for each in (gray[..., :1], gray, scene)],
    )
    assert np.array_equal(three.pixels, one.pixels.repeat(3, axis=2))
    assert (color.pixels[..., 0].astype(int) - scene[..., 0]).max() > 10


def test_the_losses_of_a_jpeg_that_are_undone_are_not_made_again(scene: np.ndarray) -> None:
    coding = JpegCoding(tables=((9,) * 64,))
    picture = Picture(pixels=scene, format="JPEG", metadata=Metadata(jpeg_coding=coding))
    for degradation, kept in (("noise0.1", coding), ("jpeg20", None)):
        model = PictureModel(
            function=lambda images: images, degradation=parse_degradation(degradation)
        )
        assert restore(model, [picture])[0].metadata.jpeg_coding == kept


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1)])
def test_pictures_of_a_pixel(size: tuple[int, int], tinting: PictureModel) -> None:
    picture = Picture(pixels=np.full((*size, 1), 120, np.uint8))
    (colored,) = colorize(tinting, [picture], scales=(16, 24))
    assert colored.pixels.shape == (*size, 3)
    assert (colored.pixels == colored.pixels[0, 0]).all()
    assert abs(luma(colored.pixels.astype(np.float32))[0, 0] - 120) <= 0.51


def test_pictures_restored_together_are_as_alone(scene: np.ndarray) -> None:
    def blurred(images: Floats) -> Floats:
        padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
        return (padded[:, :, :-2, 1:-1] + padded[:, :, 2:, 1:-1] + padded[:, :, 1:-1, 1:-1]) / 3

    counts = []

    def function(images: Floats) -> Floats:
        counts.append(len(images))
        return blurred(images)

    model = PictureModel(function=function, geometry=Geometry(field=3))
    pictures = [
        Picture(pixels=np.ascontiguousarray(np.roll(scene, shift, 1))) for shift in range(4)
    ]
    together = restore(model, pictures)
    assert counts == [4]
    for picture, result in zip(pictures, together, strict=True):
        expected = blurred(picture.pixels.transpose(2, 0, 1)[None].astype(np.float32))[0].transpose(
            1, 2, 0
        )
        assert np.abs(result.pixels - expected).max() < 0.51
    tiled = restore(model, pictures[:1], tile=64)[0]
    assert np.array_equal(tiled.pixels, together[0].pixels)


@pytest.mark.parametrize(
    ("impair", "others_stay"), [("mask0.25", True), ("noise0.1+mask0.25", False)]
)
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_transparent_pixels_are_filled(
    scene: np.ndarray, impair: str, others_stay: bool, depth: type
) -> None:
    def function(images: Floats) -> Floats:
        """What is missing becomes white, everything else a little darker."""
        missing = images == np.float32(MISSING)
        assert (missing.all(axis=1) == missing.any(axis=1)).all()
        return np.where(missing, 1, images * np.float32(0.9))

    most = np.iinfo(depth).max
    pixels = scene.astype(depth) * (most // 255)
    alpha = np.full(scene.shape[:2], most, depth)
    alpha[10:20, 5:9], alpha[30:40] = 0, most // 2
    picture = Picture(pixels=pixels, alpha=alpha)
    model = PictureModel(function=function, degradation=parse_degradation(impair))
    (result,) = restore(model, [picture], tile=64)
    hole = alpha == 0
    assert (result.pixels[hole] == most).all()
    expected = pixels if others_stay else np.rint(pixels * 0.9)
    assert np.abs(result.pixels[~hole].astype(int) - expected[~hole]).max() <= (
        0 if others_stay else 1
    )
    assert result.alpha is not None
    assert np.array_equal(result.alpha, np.where(hole, most, alpha))


def test_a_picture_without_missing_pixels_is_refused_where_some_must_be(scene: np.ndarray) -> None:
    model = PictureModel(function=lambda images: images, degradation=parse_degradation("mask0.25"))
    for alpha in (None, np.ones(scene.shape[:2], np.uint8)):
        with pytest.raises(InputError, match="no pixel is fully transparent, so none is missing"):
            restore(model, [Picture(pixels=scene, alpha=alpha)])


def test_line_drawings_stay_black_on_white(tinting: PictureModel) -> None:
    drawing = np.full((60, 80, 1), 255, np.uint8)
    drawing[20:24], drawing[:, 30:33] = 0, 0
    (colored,) = colorize(tinting, [Picture(pixels=drawing)])
    assert np.array_equal(colored.pixels, drawing.repeat(3, axis=2))


def test_nothing_finite_and_no_scale_are_refused(scene: np.ndarray) -> None:
    broken = PictureModel(function=lambda images: images * np.float32("nan"))
    for way in (colorize, restore):
        with pytest.raises(InputError, match="values that are not finite: its weights are damaged"):
            way(broken, [Picture(pixels=scene)])
    for scales in ((), (0,)):
        with pytest.raises(InputError, match="at least one scale is needed"):
            colorize(broken, [Picture(pixels=scene)], scales=scales)


def test_a_model_whose_images_have_another_size_is_refused() -> None:
    smaller = PictureModel(function=lambda images: images[..., 1:, :])
    with pytest.raises(InputError, match="metadata does not fit"):
        restore(smaller, [Picture(pixels=np.zeros((40, 50, 3), np.uint8))])


def smooth_picture(depth: type = np.uint8) -> tuple[np.ndarray, int]:
    """Return a smooth picture ``(64, 80, 3)`` in [0.2, 0.8], and the value of white."""
    y, x = np.mgrid[0:64, 0:80] / 64
    clean = 0.5 + 0.3 * np.sin(5 * x + np.stack([y, 2 * y, 3 * y]))
    return clean.transpose(1, 2, 0), np.iinfo(depth).max


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("strength", [0, 0.3, 1])
def test_strength_is_the_share_of_the_change(depth: type, strength: float) -> None:
    clean, most = smooth_picture(depth)
    picture = Picture(pixels=np.rint(clean * most).astype(depth))
    model = PictureModel(function=lambda images: images / 2)
    (result,) = restore(model, [picture], strength=strength)
    np.testing.assert_allclose(result.pixels, picture.pixels * (1 - strength / 2), atol=1)
    if strength == 0:
        np.testing.assert_array_equal(result.pixels, picture.pixels)


@pytest.mark.parametrize("deviation", [0.02, 0.05])
def test_auto_strength_follows_the_noise(deviation: float) -> None:
    """A denoiser that also changes every value by 0.05 at random is used as much as pays."""
    clean, most = smooth_picture()
    rng = np.random.default_rng(0)
    noisy = np.rint((clean + rng.normal(0, deviation, clean.shape)) * most).astype(np.uint8)
    answer = (clean + rng.normal(0, 0.05, clean.shape)).transpose(2, 0, 1).astype(np.float32)
    model = PictureModel(
        function=lambda images: answer[None].repeat(len(images), 0),
        degradation=parse_degradation("noise0.1"),
    )
    picture = Picture(pixels=noisy)
    (result,) = restore(model, [picture], tile=10**6, strength="auto")
    (full,) = restore(model, [picture], tile=10**6)
    change = full.pixels / most - noisy / most
    used = float(((result.pixels / most - noisy / most) * change).sum() / np.square(change).sum())
    assert used == pytest.approx(deviation**2 / (deviation**2 + 0.05**2), abs=0.05)
    errors = [np.square(each / most - clean).mean() for each in (noisy, full.pixels, result.pixels)]
    assert errors[2] < 0.95 * min(errors[:2])


def test_auto_strength_of_tiny_and_of_unchanged_pictures() -> None:
    model = PictureModel(function=lambda images: images, degradation=parse_degradation("noise0.1"))
    for shape in ((1, 1, 3), (9, 9, 1), (3, 40, 3)):
        picture = Picture(pixels=np.full(shape, 77, np.uint8))
        (result,) = restore(model, [picture], strength="auto")
        np.testing.assert_array_equal(result.pixels, picture.pixels)


@pytest.mark.parametrize(
    ("degradation", "strength"),
    [("noise0.1", -0.1), ("noise0.1", 1.1), ("noise0.1", math.nan), ("blur1", "auto"),
     ("gray+noise0.1", "auto"), ("mask0.25", 0.5)],
)  # fmt: skip
def test_a_strength_that_does_not_fit_is_refused(degradation: str, strength: Any) -> None:
    model = PictureModel(degradation=parse_degradation(degradation), function=lambda each: each)
    alpha = np.zeros((8, 8), np.uint8)
    with pytest.raises(InputError, match="strength"):
        restore(
            model, [Picture(pixels=np.zeros((8, 8, 3), np.uint8), alpha=alpha)], strength=strength
        )
