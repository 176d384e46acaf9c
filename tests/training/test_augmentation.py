from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from caelab.randomness import image_keys
from caelab.training.augmentation import augment
from caelab.training.config import AugmentationConfig

IMAGES = torch.rand(200, 3, 8, 8, generator=torch.Generator().manual_seed(0))
KEYS = image_keys(np.arange(200), 1, 2)


def changed(images: torch.Tensor, keys: torch.Tensor, **parameters: Any) -> torch.Tensor:
    return augment(images, keys, AugmentationConfig(**parameters))


def test_without_augmentation_images_are_handed_on() -> None:
    assert changed(IMAGES, KEYS) is IMAGES


def test_about_half_are_mirrored_and_the_others_as_they_were() -> None:
    flipped = changed(IMAGES, KEYS, flip=True)
    mirrored = [torch.equal(one, other.flip(2)) for one, other in zip(flipped, IMAGES, strict=True)]
    same = [torch.equal(one, other) for one, other in zip(flipped, IMAGES, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 70 <= sum(mirrored) <= 130


def test_shifted_images_are_windows_of_the_mirrored_frame_and_every_window_occurs() -> None:
    shifted = changed(IMAGES, KEYS, translate=1)
    frames = np.pad(IMAGES.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    found = set()
    for image, frame in zip(shifted.numpy(), frames, strict=True):
        windows = {
            (row, column): frame[:, row : row + 8, column : column + 8]
            for row in range(3)
            for column in range(3)
        }
        found |= {place for place, window in windows.items() if np.array_equal(window, image)}
    assert found == {(row, column) for row in range(3) for column in range(3)}


def test_zoomed_images_are_enlarged_and_reduced_about_their_middle_alike_often() -> None:
    rows, columns = torch.meshgrid(torch.arange(17.0) - 8, torch.arange(17.0) - 8, indexing="ij")
    ramp = (0.5 + (rows + 2 * columns) / 100).expand(200, 1, 17, 17)
    zoomed = changed(ramp, KEYS, scale_jitter=0.25)
    middle = zoomed[:, 0, 3:14, 3:14] - 0.5
    factors = (0.02 * 10) / (middle[:, 5, 10] - middle[:, 5, 0])
    expected = (ramp[:, 0, 3:14, 3:14] - 0.5) / factors.view(-1, 1, 1)
    torch.testing.assert_close(
        middle, expected, rtol=0, atol=0.006
    )  # PyTorch's kernel, a = −0.75, bends a ramp
    assert 0.79 <= factors.min() < 0.83
    assert 1.21 < factors.max() <= 1.27
    assert abs(factors.log().mean()) < 3 * np.log(1.25) / np.sqrt(3 * 200)


def test_turned_images_are_those_that_scipy_turns_by_an_angle_within_the_bounds() -> None:
    smooth = F.avg_pool2d(
        torch.rand(200, 1, 24, 32, generator=torch.Generator().manual_seed(1)), 7, 1, 3
    )
    turned = changed(smooth, KEYS, rotate=20.0)
    angles = []
    for image, seen in zip(
        smooth[:6, 0].double().numpy(), turned[:6, 0].double().numpy(), strict=True
    ):
        tried = np.arange(-20, 20.1, 0.5)
        errors = [
            np.abs(ndimage.rotate(image, a, reshape=False, mode="reflect") - seen)[6:18, 6:26].max()
            for a in tried
        ]
        assert min(errors) < 0.01
        angles.append(tried[np.argmin(errors)])
    assert min(angles) < -5
    assert max(angles) > 5


def test_turned_and_zoomed_at_once_is_one_then_the_other() -> None:
    smooth = F.avg_pool2d(
        torch.rand(200, 3, 24, 24, generator=torch.Generator().manual_seed(1)), 9, 1, 4
    )
    both = changed(smooth, KEYS, scale_jitter=0.25, rotate=20.0)
    apart = changed(changed(smooth, KEYS, rotate=20.0), KEYS, scale_jitter=0.25)
    torch.testing.assert_close(both[..., 8:16, 8:16], apart[..., 8:16, 8:16], rtol=0, atol=0.02)


def test_tones_are_powers_that_brighten_as_often_as_they_darken() -> None:
    gray = torch.full((200, 3, 8, 8), 0.25)
    toned = changed(gray, KEYS, gamma_jitter=0.25)
    powers = toned[:, 0, 0, 0].log() / np.log(0.25)
    torch.testing.assert_close(toned, toned[:, :1, :1, :1].expand_as(toned), rtol=0, atol=0)
    assert 0.8 <= powers.min() < 0.83
    assert 1.21 < powers.max() <= 1.25
    assert abs(powers.log().mean()) < 3 * np.log(1.25) / np.sqrt(3 * 200)
    black_and_white = IMAGES.round()
    assert torch.equal(changed(black_and_white, KEYS, gamma_jitter=1.0), black_and_white)


def test_zoomed_and_turned_images_stay_in_range() -> None:
    zoomed = changed(IMAGES.round(), KEYS, scale_jitter=1.0, rotate=45.0)
    assert zoomed.min() >= 0
    assert zoomed.max() <= 1


@pytest.mark.parametrize(
    "parameters",
    [
        {"flip": True},
        {"translate": 2},
        {"scale_jitter": 0.5},
        {
            "flip": True, "translate": 2, "scale_jitter": 0.25, "rotate": 15.0, "gamma_jitter": 0.2,
        },
    ],
)  # fmt: skip
def test_an_image_does_not_depend_on_its_batch(parameters: dict[str, Any]) -> None:
    whole = changed(IMAGES, KEYS, **parameters)
    alone = changed(IMAGES[50:60], KEYS[50:60], **parameters)
    torch.testing.assert_close(alone, whole[50:60], rtol=0, atol=0)
