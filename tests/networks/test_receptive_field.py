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


@pytest.mark.parametrize(
    "text",
    [
        "conv2:none pool conv1k5",
        "conv2k4:none avgpool conv1:none avgpool3",
        "avgpool conv2:none up conv1:none upbilinear conv1",
        "conv1s2:none deconv1k1s4:none conv1k5 avgpool",
        "conv1:none [avgpool [avgpool conv1:none up] up]",
        "avgpool4 conv2:none attend2 up4",
    ],
)
def test_the_area_of_one_position_is_what_gradients_say(text: str) -> None:
    """In every corner and in the middle, in an image that is no square."""
    size = (24, 36)
    described = describe(parse(text), channels=1, size=size)
    network = build(parse(text), channels=1, size=size, generator=torch.Generator()).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(0.5, 1, generator=torch.Generator().manual_seed(0))
    image = torch.rand(1, 1, *size, dtype=torch.float64, requires_grad=True)
    output = network(image).sum(dim=(0, 1))
    height, width = output.shape
    for y, x in ((0, 0), (0, width - 1), (height - 1, 0), (height // 2, width // 3)):
        (gradient,) = torch.autograd.grad(output[y, x], image, retain_graph=True)
        touched = gradient[0, 0].abs().nonzero()
        rows, columns = described.input_area(len(described.rows), y, x)
        area = torch.zeros(size, dtype=torch.bool)
        area[rows, columns] = True
        assert all(area[row, column] for row, column in touched.tolist())
        if "pool conv1k5" not in text:  # its maxima touch some of the pixels only
            assert touched.min(0).values.tolist() == [rows.start, columns.start]
            assert touched.max(0).values.tolist() == [rows.stop - 1, columns.stop - 1]


def test_a_position_that_is_not_there() -> None:
    described = describe(parse("conv2 pool"), channels=1, size=8)
    assert described.input_area(0, 3, 7) == (slice(3, 4), slice(7, 8))
    for wrong in ((3, 0, 0), (-1, 0, 0), (2, 4, 0), (2, 0, -1)):
        with pytest.raises(IndexError):
            described.input_area(*wrong)
