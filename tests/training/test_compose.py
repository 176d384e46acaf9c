import torch
from torch import nn

from caelab.training.compose import ImageModel

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.1)
IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_normalisation_is_undone() -> None:
    model = ImageModel(nn.Identity(), mean=MEAN, std=STD, logits=False)
    torch.testing.assert_close(model(IMAGES), IMAGES)


def test_the_network_sees_standardised_images() -> None:
    seen: list[torch.Tensor] = []

    class Spy(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(images)
            return images

    ImageModel(Spy(), mean=MEAN, std=STD, logits=False)(IMAGES)
    expected = (IMAGES - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    torch.testing.assert_close(seen[0], expected)


def test_range_hands_the_images_on_untouched() -> None:
    model = ImageModel(nn.Identity(), mean=(0.0,) * 3, std=(1.0,) * 3, logits=False)
    assert model(IMAGES) is IMAGES


def test_images_are_clipped_or_squashed() -> None:
    linear = ImageModel(nn.Identity(), mean=MEAN, std=STD, logits=False)
    assert linear.image(torch.tensor([-1.0, 0.25, 7.0])).tolist() == [0.0, 0.25, 1.0]
    logits = ImageModel(nn.Identity(), mean=MEAN, std=STD, logits=True)
    torch.testing.assert_close(logits.image(torch.tensor([0.0, 2.0])), torch.tensor([0.0, 2.0]).sigmoid())
