import numpy as np
import pytest
import torch

from caelab.impair import image_keys
from caelab.training.augment import augment

IMAGES = torch.rand(200, 3, 8, 8, generator=torch.Generator().manual_seed(0))
KEYS = torch.from_numpy(image_keys(np.arange(200), 1, 2))


def test_without_augmentation_images_are_handed_on() -> None:
    assert augment(IMAGES, KEYS, flip=False, shift=0) is IMAGES


def test_about_half_are_mirrored_and_the_others_as_they_were() -> None:
    flipped = augment(IMAGES, KEYS, flip=True, shift=0)
    mirrored = [torch.equal(one, other.flip(2)) for one, other in zip(flipped, IMAGES, strict=True)]
    same = [torch.equal(one, other) for one, other in zip(flipped, IMAGES, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 70 <= sum(mirrored) <= 130


def test_shifted_images_are_windows_of_the_mirrored_frame_and_every_window_occurs() -> None:
    shifted = augment(IMAGES, KEYS, flip=False, shift=1)
    frames = np.pad(IMAGES.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    found = set()
    for image, frame in zip(shifted.numpy(), frames, strict=True):
        windows = {
            (row, column): frame[:, row : row + 8, column : column + 8] for row in range(3) for column in range(3)
        }
        found |= {place for place, window in windows.items() if np.array_equal(window, image)}
    assert found == {(row, column) for row in range(3) for column in range(3)}


def test_zoomed_images_are_enlarged_and_reduced_about_their_middle_alike_often() -> None:
    rows, columns = torch.meshgrid(torch.arange(17.0) - 8, torch.arange(17.0) - 8, indexing="ij")
    ramp = (0.5 + (rows + 2 * columns) / 100).expand(200, 1, 17, 17)
    zoomed = augment(ramp, KEYS, flip=False, shift=0, zoom=0.25)
    middle = zoomed[:, 0, 3:14, 3:14] - 0.5
    factors = (0.02 * 10) / (middle[:, 5, 10] - middle[:, 5, 0])
    expected = (ramp[:, 0, 3:14, 3:14] - 0.5) / factors.view(-1, 1, 1)
    torch.testing.assert_close(middle, expected, rtol=0, atol=0.006)  # PyTorch's kernel, a = −0.75, bends a ramp
    assert 0.79 <= factors.min() < 0.83
    assert 1.21 < factors.max() <= 1.27
    assert abs(factors.log().mean()) < 3 * np.log(1.25) / np.sqrt(3 * 200)


def test_zoomed_images_stay_in_range() -> None:
    zoomed = augment(IMAGES.round(), KEYS, flip=False, shift=0, zoom=1)
    assert zoomed.min() >= 0
    assert zoomed.max() <= 1


@pytest.mark.parametrize(("flip", "shift", "zoom"), [(True, 0, 0), (False, 2, 0), (False, 0, 0.5), (True, 2, 0.25)])
def test_an_image_does_not_depend_on_its_batch(flip: bool, shift: int, zoom: float) -> None:
    whole = augment(IMAGES, KEYS, flip=flip, shift=shift, zoom=zoom)
    alone = augment(IMAGES[50:60], KEYS[50:60], flip=flip, shift=shift, zoom=zoom)
    torch.testing.assert_close(alone, whole[50:60], rtol=0, atol=0)
