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


@pytest.mark.parametrize(("flip", "shift"), [(True, 0), (False, 2), (True, 2)])
def test_an_image_does_not_depend_on_its_batch(flip: bool, shift: int) -> None:
    whole = augment(IMAGES, KEYS, flip=flip, shift=shift)
    torch.testing.assert_close(
        augment(IMAGES[50:60], KEYS[50:60], flip=flip, shift=shift), whole[50:60], rtol=0, atol=0
    )
