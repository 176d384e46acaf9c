"""Receptive fields against gradients: which input pixels does an output pixel really depend on?"""

import pytest
import torch

from caelab.networks import describe
from caelab.networks.build import build
from caelab.networks.parser import parse


def _extent(text: str, size: int) -> int:
    """The largest extent, over output columns near the middle, of the input columns with a
    gradient."""
    network = build(parse(text), channels=1, size=size, generator=torch.Generator()).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(
                0.5, 1, generator=torch.Generator().manual_seed(0)
            )  # nothing cancels
    image = torch.rand(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    columns = network(image).sum(dim=(0, 1, 2))
    middle = len(columns) // 2
    extents = []
    for column in range(max(0, middle - 9), min(len(columns), middle + 9)):
        (gradient,) = torch.autograd.grad(columns[column], image, retain_graph=True)
        touched = gradient.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
        if len(touched):
            extents.append(int(touched[-1] - touched[0]) + 1)
    return max(extents)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("conv2:none conv1", 5),
        ("conv2k5s2:none conv1", 9),
        ("conv2d3:none conv1k4", 10),
        ("conv2k4:none avgpool conv1:none avgpool3", 13),
        ("avgpool conv2:none up conv1", 8),
        ("avgpool avgpool conv2:none up conv1:none up conv1", 20),
        ("avgpool4 up4 conv1", 8),
        ("avgpool4 up4 conv1k7", 12),
        ("avgpool conv1:none upbilinear conv1", 10),
        ("avgpool3 upbilinear3 conv1k1", 6),
        ("conv1s2:none deconv1k4s2", 5),
        ("conv1s3:none deconv1k2s3:none conv1", 6),
        ("conv1s2:none deconv1k1s4:none conv1k5 avgpool", 5),
        ("unshuffle4 conv16:none shuffle4 conv3", 16),
        ("conv1:none (conv1d2:none) [avgpool up]", 8),
        ("conv1:none [avgpool [avgpool conv1:none up] up]", 14),
    ],
)
def test_receptive_field_is_what_gradients_say(text: str, field: int) -> None:
    assert _extent(text, 48) == describe(parse(text), channels=1, size=48).receptive_field == field


@pytest.mark.parametrize(
    "text",
    [
        "conv1:none norm conv1",
        "conv2:none context",
        "excite1",
        "avgpool4 conv2:none attend2 up4",
        "dense4:none dense1h4w4 up12 conv1",
    ],
)
def test_norms_and_dense_layers_see_the_whole_image(text: str) -> None:
    assert describe(parse(text), channels=1, size=48).receptive_field is None
    assert _extent(text, 48) == 48


def test_an_upsampled_field_is_the_largest_over_phases() -> None:
    # The usual formula gives the average: 24 for the reference network, whose phases see 22 to 26
    # pixels.
    assert describe(parse("reference")).receptive_field == 26
