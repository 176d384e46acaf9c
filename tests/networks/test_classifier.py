import pytest
import torch
from torch import Tensor, nn

from caelab.networks import adapt, describe
from caelab.networks.build import build
from caelab.networks.initialize import initialize_lsuv
from caelab.networks.modules import Classifier
from caelab.networks.network_module import NetworkModule
from caelab.networks.parser import parse

TEXT = "conv4 pool conv6 classify5 | up conv3"


def _images(count: int, *, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def _network(text: str = TEXT) -> NetworkModule:
    return build(parse(text), size=8, generator=torch.Generator().manual_seed(1))


def test_the_network_answers_as_without() -> None:
    network, images = _network(), _images(3)
    plain = _network(TEXT.replace(" classify5", ""))
    plain.load_state_dict(
        {
            name: value
            for (name, value), kept in zip(
                network.state_dict().items(),
                [".linear." not in name for name in network.state_dict()],
                strict=True,
            )
            if kept
        }
    )
    assert torch.equal(network(images), plain(images))
    assert torch.equal(network.forward_with_logits(images).image, plain(images))


def test_it_tells_a_linear_map_of_the_mean() -> None:
    classifier = Classifier(4, classes=7)
    for parameter in classifier.parameters():
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(2))
    x = torch.randn(5, 4, 6, 3, generator=torch.Generator().manual_seed(3))
    assert classifier(x) is x
    logits = classifier.logits(x)
    expected = (
        x.double().mean((2, 3)) @ classifier.linear.weight.double().T
        + classifier.linear.bias.double()
    )
    torch.testing.assert_close(logits.double(), expected, rtol=1e-5, atol=1e-5)


def test_logits_come_in_the_order_of_the_text_from_inside_brackets_too() -> None:
    network = _network("conv4 classify5 [pool (conv4 classify3 conv4) up | classify2] conv3")
    image, logits = network.forward_with_logits(_images(2))
    assert torch.equal(image, network(_images(2)))
    assert [tuple(each.shape) for each in logits] == [(2, 5), (2, 3), (2, 2)]
    assert _network("conv4 | conv3").forward_with_logits(_images(2)).logits == ()


def test_standardising_leaves_it_as_it_was_drawn() -> None:
    network = _network()
    before = {
        name: value.clone() for name, value in network.state_dict().items() if ".linear." in name
    }
    initialize_lsuv(network, _images(50))
    assert len(before) == 2
    for name, value in before.items():
        assert torch.equal(network.state_dict()[name], value)
    assert before["encoder.3.function.linear.weight"].std() > 0


def test_it_is_described_and_adapted() -> None:
    description = describe(parse(TEXT), size=8)
    (row,) = [row for row in description.rows if row.kind == "classify"]
    assert (row.shape, row.weights, row.multiply_accumulates) == ((6, 4, 4), 5 * 6 + 5, 0)
    assert description.classifiers == (5,)
    assert describe(parse("conv4 2*classify7 conv3")).classifiers == (7, 7)
    assert describe(parse("conv3")).classifiers == ()
    weights = sum(parameter.numel() for parameter in _network().parameters())
    assert description.weights == weights
    assert str(adapt(parse("conv4 conv3 classify4"), outputs=2)) == "conv4 conv2 classify4"


@pytest.mark.parametrize(
    "text", ["conv4 classify2 conv3", "conv4 conv3 classify2", "classify2 conv3"]
)
def test_the_last_convolution_is_linear_wherever_it_stands(text: str) -> None:
    assert _network(text)(_images(2)).min() < 0
