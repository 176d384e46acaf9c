import pytest
import torch
from torch import nn

from caelab.models.image_model import ImageModel
from caelab.models.targets import LogitsTarget, RgbTarget
from caelab.models.tta import TTA

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.1)
IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def composed(
    network: nn.Module, mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD
) -> ImageModel:
    return ImageModel(network, mean=mean, std=std, target=RgbTarget(mean=mean, std=std))


def test_normalisation_is_undone() -> None:
    model = composed(nn.Identity())
    torch.testing.assert_close(model(IMAGES), IMAGES)


def test_the_network_sees_standardised_images() -> None:
    seen: list[torch.Tensor] = []

    class Spy(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(images)
            return images

    composed(Spy())(IMAGES)
    expected = (IMAGES - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    torch.testing.assert_close(seen[0], expected)


def test_range_hands_the_images_on_untouched() -> None:
    model = composed(nn.Identity(), mean=(0.0,) * 3, std=(1.0,) * 3)
    assert model(IMAGES) is IMAGES


def test_images_are_clipped_or_squashed() -> None:
    linear = RgbTarget(mean=MEAN, std=STD)
    assert linear.image(torch.tensor([-1.0, 0.25, 7.0]), IMAGES).tolist() == [0.0, 0.25, 1.0]
    logits = LogitsTarget(channels=3)
    torch.testing.assert_close(
        logits.image(torch.tensor([0.0, 2.0]), IMAGES), torch.tensor([0.0, 2.0]).sigmoid()
    )


def test_averaged_flips_make_the_answer_the_mirror_images_mirror_image() -> None:
    network = nn.Conv2d(3, 3, 3, padding=1)
    model = ImageModel(
        network,
        mean=MEAN,
        std=STD,
        target=RgbTarget(mean=MEAN, std=STD),
        tta=TTA(flip=True),
    )
    with torch.no_grad():
        torch.testing.assert_close(model.restore(IMAGES.flip(3)), model.restore(IMAGES).flip(3))
        assert not torch.allclose(model(IMAGES.flip(3)), model(IMAGES).flip(3))


def shifting(network: nn.Module, shift: int) -> ImageModel:
    return ImageModel(
        network,
        mean=MEAN,
        std=STD,
        target=RgbTarget(mean=MEAN, std=STD),
        tta=TTA(shift=shift),
    )


def test_an_averaged_shift_is_the_mean_over_the_images_that_have_the_pixel() -> None:
    squares = nn.Sequential(
        nn.AvgPool2d(4), nn.Upsample(scale_factor=4)
    )  # meets other squares when moved by 2
    plain = shifting(squares, 0)
    answer = shifting(squares, 2).restore(IMAGES)
    height, width = IMAGES.shape[2:]
    border = nn.functional.pad(IMAGES, (2, 2, 2, 2), mode="replicate")
    found = {
        move: plain.restore(border[:, :, 2 - move :, 2 - move :][:, :, :height, :width])
        for move in (-2, 0, 2)
    }
    for row in range(height):
        for column in range(width):
            seen = [
                found[move][:, :, row + move, column + move]
                for move in found
                if 0 <= row + move < height and 0 <= column + move < width
            ]
            torch.testing.assert_close(answer[:, :, row, column], torch.stack(seen).mean(0))
    assert not torch.allclose(answer, found[0])


@pytest.mark.parametrize("shift", [1, 3, 16])
def test_a_network_that_is_the_same_everywhere_gives_the_same_answer(shift: int) -> None:
    pointwise = nn.Conv2d(3, 3, 1)
    with torch.no_grad():
        torch.testing.assert_close(
            shifting(pointwise, shift).restore(IMAGES), shifting(pointwise, 0).restore(IMAGES)
        )


def enlarging(network: nn.Module, **options: bool) -> ImageModel:
    prediction = RgbTarget(mean=MEAN, std=STD)
    return ImageModel(
        network, mean=MEAN, std=STD, target=prediction, tta=TTA(scale=True, **options)
    )


def test_an_enlarged_image_s_answer_is_reduced_again_and_averaged() -> None:
    seen: list[torch.Tensor] = []
    double = nn.Conv2d(3, 3, 3, padding=1)
    double.register_forward_hook(lambda module, given, answer: seen.append(given[0]))
    with torch.no_grad():
        answer = enlarging(double).restore(IMAGES)
        as_it_is, larger = seen
        height, width = IMAGES.shape[2:]
        assert larger.shape[2:] == (height * 5 // 4, width * 5 // 4)
        reduced = nn.functional.interpolate(double(larger), size=(height, width), mode="bilinear")
        scale, shift = torch.tensor(STD).view(3, 1, 1), torch.tensor(MEAN).view(3, 1, 1)
        expected = ((2 * double(as_it_is) + reduced) / 3 * scale + shift).clamp(0, 1)
    torch.testing.assert_close(answer, expected)


def test_enlarging_leaves_what_is_smooth_and_keeps_mirror_images() -> None:
    ramp = torch.linspace(0.2, 0.8, 32).expand(1, 3, 32, 32)
    with torch.no_grad():
        answer = enlarging(nn.Identity()).restore(ramp)
        torch.testing.assert_close(answer[..., 4:-4], ramp[..., 4:-4], atol=1e-3, rtol=0)
        model = enlarging(nn.Conv2d(3, 3, 3, padding=1), flip=True)
        torch.testing.assert_close(model.restore(IMAGES.flip(3)), model.restore(IMAGES).flip(3))
