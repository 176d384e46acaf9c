import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import kstest
from torch import Tensor

from caelab.color import luminance
from caelab.degrade.apply import degrade
from caelab.degrade.degradation import parse_degradation
from caelab.degrade.kinds import MISSING, DegradationKind, ImageRandom
from caelab.errors import InputError
from caelab.randomness import image_keys

EXAMPLES = ["none", *(kind.example() for kind in DegradationKind.registry.values())]
COMPOSED = [
    "gray+noise0.05",
    "noise0.1+gray",
    "blur1+downscale2+noise0.02+jpeg50",
    "mask0.5+gray",
    "gray+jpeg20",
]
EVERY = pytest.mark.parametrize("text", EXAMPLES + COMPOSED)


def pictures(count: int = 7, channels: int = 3, height: int = 16, width: int = 12) -> Tensor:
    """Return images with black, white and everything between, the channels last in memory."""
    drawn = (
        torch.rand(count, height, width, channels, generator=torch.Generator().manual_seed(1)) * 1.4
        - 0.2
    )
    return drawn.clamp_(0, 1).permute(0, 3, 1, 2)


def keys_of(count: int, *moments: int, seed: int = 0) -> Tensor:
    return image_keys(np.arange(count), seed, *moments)


def done(text: str, images: Tensor, keys: Tensor) -> Tensor:
    return degrade(images, parse_degradation(text), keys)


@EVERY
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(16, 12), (7, 9), (1, 1)])
def test_contract_shape_type_range_and_layout(
    text: str, channels: int, size: tuple[int, int]
) -> None:
    degradation, images = parse_degradation(text), pictures(3, channels, *size)
    before = images.clone()
    for dtype in (torch.float32, torch.float64):
        result = degrade(images.to(dtype), degradation, keys_of(3))
        assert result.shape == (3, degradation.channels(channels), *size)
        assert result.dtype == dtype
        assert result.is_contiguous(memory_format=torch.channels_last)
        assert result.isfinite().all()
        if "noise" not in text and "mask" not in text:
            assert -1e-6 <= result.min() <= result.max() <= 1 + 1e-6
    assert torch.equal(images, before)


@EVERY
def test_contract_an_image_is_degraded_alike_in_every_batch(text: str) -> None:
    images, keys = pictures(), keys_of(7)
    whole = done(text, images, keys)
    assert torch.equal(done(text, images, keys), whole)
    order = torch.tensor([5, 0, 3])
    torch.testing.assert_close(
        done(text, images[order], keys[order]), whole[order], rtol=0, atol=1e-6
    )
    torch.testing.assert_close(done(text, images[2:3], keys[2:3]), whole[2:3], rtol=0, atol=1e-6)


@EVERY
def test_contract_random_degradations_are_fresh_in_every_epoch_and_for_every_image_and_seed(
    text: str,
) -> None:
    images = pictures(1).expand(7, -1, -1, -1)
    evaluation = done(text, images, keys_of(7))
    others = [
        done(text, images, keys) for keys in (keys_of(7, 0), keys_of(7, 1), keys_of(7, seed=1))
    ]
    same = [torch.equal(evaluation, other) for other in others] + [
        torch.equal(evaluation[0], evaluation[1])
    ]
    assert same == [not parse_degradation(text).random] * 4


@EVERY
def test_contract_steps_are_done_from_left_to_right(text: str) -> None:
    images, keys = pictures(), keys_of(7)
    result = images
    for word in text.split("+"):
        result = done(word, result, keys)
    assert torch.equal(result, done(text, images, keys))


@EVERY
def test_contract_luminance_is_kept_where_it_is_said_to_be(text: str) -> None:
    images = pictures()
    result = done(text, images, keys_of(7))
    luma = luminance(result) if result.shape[1] == 3 else result
    assert torch.equal(luma, luminance(images)) == parse_degradation(text).keeps_luminance


def test_none_is_the_identity() -> None:
    images = pictures()
    assert torch.equal(done("none", images, keys_of(7)), images)


def test_gray_is_the_luma_and_gray_of_gray_is_the_same() -> None:
    images = pictures()
    gray = done("gray", images, keys_of(7))
    assert torch.equal(gray, luminance(images))
    assert torch.equal(done("gray", gray, keys_of(7)), gray)


def test_the_order_of_steps_matters() -> None:
    images, keys = pictures(), keys_of(7)
    assert not torch.allclose(
        done("noise0.1+gray", images, keys), done("gray+noise0.1", images, keys), atol=0.01
    )


def test_noise_is_gaussian_and_not_clipped() -> None:
    images = torch.ones(50, 3, 32, 32)
    noise = (done("noise0.1", images, keys_of(50)) - images).flatten().double() / 0.1
    assert kstest(noise.numpy(), "norm").pvalue > 0.01
    assert noise.max() > 4


def test_a_mask_takes_whole_pixels_and_leaves_the_others() -> None:
    images = pictures(100, height=32, width=32)
    masked = done("mask0.25", images, keys_of(100))
    missing = masked[:, :1] == MISSING
    assert torch.equal(masked, torch.where(missing, MISSING, images))
    assert float(missing.double().mean()) == pytest.approx(
        0.25, abs=5 * (0.25 * 0.75 / missing.numel()) ** 0.5
    )


@pytest.mark.parametrize("deviation", [0.3, 1.5, 9])
@pytest.mark.parametrize("size", [(16, 12), (5, 3)])
def test_blur_is_scipys(deviation: float, size: tuple[int, int]) -> None:
    images = pictures(2, 3, *size).double()
    expected = gaussian_filter(
        images.numpy(), (0, 0, deviation, deviation), mode="reflect", truncate=4
    )
    np.testing.assert_allclose(
        done(f"blur{deviation}", images, keys_of(2)).numpy(), expected, atol=1e-12
    )


@pytest.mark.parametrize("factor", [2, 4])
def test_downscale_is_pillows_box_average_and_bicubic_interpolation(factor: int) -> None:
    images = pictures(2)
    results = done(f"downscale{factor}", images, keys_of(2))
    for plane, result in zip(images.flatten(0, 1), results.flatten(0, 1), strict=True):
        small = Image.fromarray(np.ascontiguousarray(plane)).reduce(factor)
        large = np.asarray(small.resize((12, 16), Image.Resampling.BICUBIC))
        np.testing.assert_allclose(result.numpy(), large.clip(0, 1), atol=1e-5)


def test_downscaling_keeps_constant_images_of_any_size() -> None:
    images = torch.full((2, 3, 7, 11), 0.3)
    torch.testing.assert_close(done("downscale4", images, keys_of(2)), images)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_jpeg_is_pillows(channels: int, mode: str) -> None:
    images = pictures(2, channels)
    for image, result in zip(images, done("jpeg20", images, keys_of(2)), strict=True):
        pixels = np.rint(image.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels if channels == 3 else pixels[..., 0], mode=None).save(
            file, "JPEG", quality=20
        )
        opened = Image.open(file)
        assert opened.mode == mode
        expected = np.asarray(opened).reshape(16, 12, channels) / 255
        np.testing.assert_allclose(result.permute(1, 2, 0).numpy(), expected, atol=1e-7)


def test_a_better_jpeg_is_nearer() -> None:
    images = pictures()
    errors = [
        (done(f"jpeg{quality}", images, keys_of(7)) - images).square().mean()
        for quality in (5, 50, 95)
    ]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.gpu
@pytest.mark.parametrize(
    "text", ["noise0.1", "mask0.25", "blur1.5+noise0.1", "downscale2", "gray+jpeg20"]
)
def test_a_gpu_gives_the_same(text: str) -> None:
    images, keys = pictures(), keys_of(7)
    given = done(text, images.cuda(), keys.cuda()).cpu()
    torch.testing.assert_close(given, done(text, images, keys), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "kind", list(DegradationKind.registry.values()), ids=lambda kind: kind.name
)
def test_contract_kinds_that_stay_on_the_device_are_differentiable(
    kind: type[DegradationKind],
) -> None:
    images = pictures(2, 3, 6, 5).double() * 0.8 + 0.1
    if kind.on_host:
        assert not done(kind.example(), images.requires_grad_(), keys_of(2)).requires_grad
        return
    assert torch.autograd.gradcheck(
        lambda inside: done(kind.example(), inside, keys_of(2)), images.requires_grad_()
    )


def test_kinds_draw_numbers_of_their_own_by_name() -> None:
    names = ("noise", "mask", "rain", "snow")
    kinds = [type(name, (DegradationKind,), {"name": name, "random": True})() for name in names]
    drawn = torch.stack([kind.random_numbers(keys_of(50)).normal(500).flatten() for kind in kinds])
    assert (torch.corrcoef(drawn) - torch.eye(4)).abs().max() < 0.03


class Cropped(DegradationKind):
    name = "cropped"

    def apply(self, images: Tensor, strength: float, random: ImageRandom) -> Tensor:
        return images[..., 1:]


def test_a_kind_that_returns_another_shape_than_promised_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(DegradationKind.registry._kinds, "cropped", Cropped)
    with pytest.raises(InputError, match=r"cropped .*\(7, 3, 16, 11\).*\(7, 3, 16, 12\).*Cropped"):
        done("cropped", pictures(), keys_of(7))
