"""Tiles give what the whole gives, or fade into one another."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from caelab.models.image_model import ImageModel
from caelab.models.targets import RgbTarget
from caelab.models.tta import TTA
from caelab.networks.build import build
from caelab.networks.parser import parse
from caelab.pictures.backends.base import Geometry, PictureModel, geometry_of
from caelab.pictures.tiles import in_tiles, spans

Floats = NDArray[np.float32]


def tiled(model: PictureModel, image: Floats, *, tile: int) -> Floats:
    """(C, H, W) → (C', H, W), and the bands are in order."""
    bands = []
    row = 0
    for top, band in in_tiles(
        model,
        lambda rows, columns: image[None, :, rows][..., columns],
        (image.shape[1], image.shape[2]),
        tile=tile,
    ):
        assert top == row
        row += band.shape[2]
        bands.append(band[0])
    assert row == image.shape[1]
    return np.concatenate(bands, axis=1)


def mirrored(image: Floats, multiple: int) -> Floats:
    _, height, width = image.shape
    return np.pad(
        image, ((0, 0), (0, -height % multiple), (0, -width % multiple)), mode="symmetric"
    )


@given(
    length=st.integers(1, 3000),
    multiple=st.sampled_from([1, 2, 3, 4, 8, 32]),
    field=st.none() | st.integers(1, 200),
    fixed=st.none() | st.sampled_from([8, 32, 96]),
    tile=st.sampled_from([16, 64, 512]),
)
def test_tiles_cover_a_side_and_their_weights_add_up_to_one(
    length: int, multiple: int, field: int | None, fixed: int | None, tile: int
) -> None:
    geometry = (
        Geometry(field=None, fixed=fixed) if fixed else Geometry(multiple=multiple, field=field)
    )
    found = spans(length, geometry, tile=tile)
    assert len({span.stop - span.start for span in found}) == 1
    assert all(span.start % geometry.multiple == 0 for span in found)
    if fixed:
        assert found[0].stop == fixed
    elif len(found) == 1:
        assert found[0].stop == length + -length % multiple
    total = np.zeros(found[-1].stop)
    for number, span in enumerate(found):
        total[span.start : span.stop] += span.weights
        assert span.weights.min() >= 0
        if (
            geometry.field is not None
        ):  # what counts is as far from the tile's border as the field reaches
            used = np.flatnonzero(span.weights)
            assert number == 0 or used[0] >= geometry.field
            assert number == len(found) - 1 or used[-1] < len(span.weights) - geometry.field
    np.testing.assert_allclose(total, 1, atol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "conv4 pool conv6 pool conv8 | up conv6 up conv3",
        "conv4k5s2 conv6s2 | up conv6 upbilinear conv3",
        "conv4 [pool conv4 [pool conv4 | conv4 up] conv4 up] conv4 conv3",
        "unshuffle4 conv8 2*(conv8:relu conv8:none) conv48 shuffle4",
    ],
)
@pytest.mark.parametrize("size", [(150, 203), (37, 300)])
def test_a_networks_tiles_are_exactly_the_whole(text: str, size: tuple[int, int]) -> None:
    network = build(parse(text), generator=torch.Generator().manual_seed(1)).eval()
    rng = np.random.default_rng(0)
    with torch.no_grad():  # of small integers every sum is exact, in whatever order a library adds
        for parameter in network.parameters():
            values = rng.integers(-1, 2, parameter.shape) * (rng.random(parameter.shape) < 0.3)
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))
    image = rng.integers(0, 4, (3, *size)).astype(np.float32)

    @torch.inference_mode()
    def function(images: Floats) -> Floats:
        return network(torch.from_numpy(images)).numpy()

    model = PictureModel(function=function, geometry=geometry_of(parse(text), channels=3, size=32))
    whole = function(mirrored(image, model.geometry.multiple)[None])[0, :, : size[0], : size[1]]
    assert 2 <= np.abs(whole).max() < 2**22
    assert np.array_equal(tiled(model, image, tile=64), whole)


def test_tiles_are_the_whole_where_answers_are_averaged_over_a_shift() -> None:
    class Blocks(nn.Module):  # pool2 up2, exactly
        def forward(self, images: Tensor) -> Tensor:
            return nn.functional.interpolate(nn.functional.max_pool2d(images, 2), scale_factor=2)

    averaging = ImageModel(
        Blocks(),
        mean=(0.0,),
        std=(1.0,),
        target=RgbTarget(mean=(0.0,), std=(1.0,)),
        tta=TTA(shift=15),
    )

    @torch.inference_mode()
    def function(images: Floats) -> Floats:
        return averaging.restore(torch.from_numpy(images)).numpy()

    image = np.random.default_rng(0).random((1, 160, 160), np.float32)
    geometry = geometry_of(parse("pool up"), channels=1, size=32, tta=TTA(shift=15))
    model = PictureModel(function=function, channels=1, geometry=geometry)
    np.testing.assert_array_equal(tiled(model, image, tile=60), function(image[None])[0])
    careless = PictureModel(
        function=function, channels=1, geometry=geometry_of(parse("pool up"), channels=1, size=32)
    )
    assert not np.array_equal(tiled(careless, image, tile=60), function(image[None])[0])


def test_tiles_are_the_whole_where_answers_are_averaged_over_an_enlarged_image() -> None:
    text = "pool conv4 up conv1"
    network = build(parse(text), channels=1, size=32, generator=torch.Generator().manual_seed(0))
    plain = {"mean": (0.0,), "std": (1.0,)}
    averaging = ImageModel(network, target=RgbTarget(**plain), tta=TTA(scale=True), **plain)

    @torch.inference_mode()
    def function(images: Floats) -> Floats:
        return averaging.restore(torch.from_numpy(images)).numpy()

    image = np.random.default_rng(0).random((1, 160, 160), np.float32)
    geometry = geometry_of(parse(text), channels=1, size=32, tta=TTA(scale=True))
    assert geometry.multiple == 8
    model = PictureModel(function=function, channels=1, geometry=geometry)
    np.testing.assert_allclose(tiled(model, image, tile=64), function(image[None])[0], atol=1e-5)


def test_misaligned_tiles_would_differ() -> None:
    """The test above can fail: pooling at another phase gives something else."""

    def function(images: Floats) -> Floats:
        count, channels, height, width = images.shape
        pooled = images.reshape(count, channels, height // 4, 4, width // 4, 4).max((3, 5))
        return pooled.repeat(4, axis=2).repeat(4, axis=3)

    image = np.random.default_rng(0).random((1, 160, 160), np.float32)
    aligned = PictureModel(function=function, geometry=Geometry(multiple=4, field=7))
    assert np.array_equal(tiled(aligned, image, tile=60), function(image[None])[0])
    careless = PictureModel(function=function, geometry=Geometry(multiple=4, field=0))
    assert np.array_equal(tiled(careless, image, tile=60), function(image[None])[0])
    shifted = PictureModel(
        function=lambda images: np.roll(function(np.roll(images, 1, 3)), -1, 3),
        geometry=Geometry(multiple=4, field=0),
    )
    assert not np.array_equal(tiled(shifted, image, tile=60), shifted(image[None])[0])


def test_a_picture_of_one_tile_is_given_whole() -> None:
    shapes = []

    def function(images: Floats) -> Floats:
        shapes.append(images.shape)
        return images

    model = PictureModel(function=function, geometry=Geometry(multiple=8, field=None))
    for size in ((1, 1), (100, 50)):
        image = np.random.default_rng(0).random((3, *size), np.float32)
        assert np.array_equal(tiled(model, image, tile=512), image)
    assert shapes == [(1, 3, 8, 8), (1, 3, 104, 56)]


def test_where_the_field_is_the_whole_image_there_is_no_seam() -> None:
    def brightened(images: Floats) -> Floats:
        """What every tile gives is off by something else, as a normalization over the image makes
        it."""
        return images - images.mean((1, 2, 3), keepdims=True)

    y, x = np.mgrid[0:500, 0:700].astype(np.float32)
    image = (np.sin(x / 90) + np.cos(y / 70))[None] / 4 + 0.5
    model = PictureModel(function=brightened, geometry=Geometry(field=None))
    result = tiled(model, image, tile=128)
    change = result - image
    assert np.ptp(change) > 0.3
    cut = np.concatenate(
        [brightened(image[None, :, :, left : left + 100])[0] for left in range(0, 700, 100)], axis=2
    )

    def step(planes: Floats) -> float:
        return max(float(np.abs(np.diff(planes - image, axis=axis)).max()) for axis in (1, 2))

    assert step(cut) > 0.1
    assert step(result) < 0.1 * step(cut)


@settings(max_examples=25)
@given(st.integers(1, 90), st.integers(1, 90))
def test_a_network_of_one_size_meets_pictures_of_any(height: int, width: int) -> None:
    def function(images: Floats) -> Floats:
        assert images.shape[2:] == (32, 32)
        return 2 * images

    image = np.random.default_rng(0).random((1, height, width), np.float32)
    model = PictureModel(function=function, geometry=Geometry(field=None, fixed=32))
    np.testing.assert_allclose(tiled(model, image, tile=512), 2 * image, rtol=1e-5)


def test_small_tiles_go_through_together() -> None:
    counts = []

    def function(images: Floats) -> Floats:
        counts.append(len(images))
        return images

    model = PictureModel(function=function, geometry=Geometry(field=None, fixed=32))
    tiled(model, np.zeros((1, 32, 2000), np.float32), tile=512)
    assert counts == [124]
