"""What every registered layer kind promises, plug-ins included: its module does what it says.

An option that is forgotten here cannot be: the cases are made of each kind's own number and
letters.
"""

import copy
import pickle
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from caelab.commands.describe import command
from caelab.errors import InputError
from caelab.networks.ast import Network, NetworkError
from caelab.networks.build import build
from caelab.networks.describe import describe
from caelab.networks.layers.base import (
    LETTERS,
    LayerKind,
    MisfitError,
    ReceptiveField,
    Shape,
)
from caelab.networks.parser import parse
from caelab.registry import PLUGINS_VARIABLE


def kinds_with_examples() -> list[type[LayerKind]]:
    """Return the built-in kinds and that of ``examples/``, which is not left registered."""
    example = str(Path(__file__).parents[2] / "examples" / "blurpool.py")
    with (
        mock.patch.dict("os.environ", {PLUGINS_VARIABLE: example}),
        mock.patch.object(LayerKind.registry, "_kinds", dict(LayerKind.registry._kinds)),
    ):
        return [*LayerKind.registry.values()]


@pytest.fixture(autouse=True)
def registered() -> None:
    """Register the kinds of the examples for the duration of a test."""
    for kind in KINDS:
        LayerKind.registry.register(kind)


SHAPES: list[Shape] = [(8, 12, 12), (4, 9, 14)]
VALUES = {
    "k": (1, 2, 4, 5),
    "s": (2, 3),
    "p": (0, 1),
    "v": (0,),
    "d": (2,),
    "h": (3,),
    "w": (2,),
}
KINDS = kinds_with_examples()
each_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])


def layers(kind: type[LayerKind]) -> list[LayerKind]:
    """Layers of a kind: its numbers, each letter's values alone, and all letters together."""
    numbers = [0] if kind.takes is None or kind.takes.optional else []
    if kind.takes is not None:
        numbers += [max(kind.takes.min, value) for value in (2, 4)]
    if kind.takes is not None and kind.takes.decimal:
        return [kind(probability=0.4)]
    options = [{}, *({letter: value} for letter in kind.letters for value in VALUES[letter])]
    options += [{letter: VALUES[letter][-1] for letter in kind.letters if letter != "v"}]
    return [
        kind(
            number=number,
            **{LETTERS["p" if letter == "v" else letter]: value for letter, value in some.items()},
        )
        for number in numbers
        for some in options
    ]


def cases(kind: type[LayerKind], shapes: list[Shape] = SHAPES) -> list[tuple[LayerKind, Shape]]:
    """The layers of a kind with the shapes that they fit."""
    found = []
    for layer in layers(kind):
        for shape in shapes:
            try:
                layer.shape(shape)
            except MisfitError:
                continue
            found.append((layer, shape))
    assert found
    return found


def filled(layer: LayerKind, shape: Shape) -> nn.Module:
    """The layer's module in float64, ready for use, its weights positive: nothing cancels."""
    module = layer.module(shape).double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(0.5, 1, generator=generator)
    return module


def image(shape: Shape, count: int = 1) -> torch.Tensor:
    return torch.rand(
        count, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )


@each_kind
def test_it_has_a_help_line_and_its_text_parses_to_itself(kind: type[LayerKind]) -> None:
    assert kind.help
    assert "\n" not in kind.help
    for layer in layers(kind):
        network = Network(items=(layer,))
        assert parse(str(network)) == network
        assert pickle.loads(pickle.dumps(network)) == copy.deepcopy(network) == network


def test_the_help_of_describe_lists_every_kind() -> None:
    shown = CliRunner().invoke(command, ["--help"], terminal_width=200).output
    for kind in KINDS:
        assert kind.usage() in shown
        assert kind.help in shown


@each_kind
def test_shape_weights_and_costs_are_those_of_the_module(kind: type[LayerKind]) -> None:
    for layer, shape in cases(kind):
        module = filled(layer, shape)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            output = module(image(shape))
        assert tuple(output.shape) == (1, *layer.shape(shape)), (layer, shape)
        assert sum(each.numel() for each in module.parameters()) == layer.weights(shape), layer
        assert counter.get_total_flops() == 2 * layer.multiply_accumulates(shape), (layer, shape)


@each_kind
def test_input_channels_are_those_that_give_the_output_channels(kind: type[LayerKind]) -> None:
    for layer, shape in cases(kind):
        if not layer.weighted:
            assert layer.input_channels(layer.shape(shape)[0]) == shape[0]


@each_kind
def test_what_the_stride_leaves_out_is_what_upsampling_cannot_bring_back(
    kind: type[LayerKind],
) -> None:
    for layer, shape in cases(kind, [(8, side, side) for side in (12, 13, 17)]):
        side = layer.shape(shape)[1]
        if layer.remainder(shape):
            assert shape[1] % side, (layer, shape)


@each_kind
def test_the_receptive_field_is_what_gradients_reach(kind: type[LayerKind]) -> None:
    local = layers(kind)[0].receptive_field(ReceptiveField()) is not None
    size = 36 if local else 16
    for layer, shape in cases(kind, [(8, size, size)]):
        field = layer.receptive_field(ReceptiveField())
        x = image(shape).requires_grad_()
        columns = filled(layer, shape)(x).sum((0, 1, 2))
        middle, extents = len(columns) // 2, [0]
        for column in columns[max(0, middle - 6) : middle + 6]:
            (gradient,) = torch.autograd.grad(column, x, retain_graph=True)
            touched = gradient.abs().sum((0, 1, 2)).nonzero().flatten()
            extents += [int(touched[-1] - touched[0]) + 1] if len(touched) else []
        assert max(extents) == (size if field is None else field.extent), layer


@each_kind
def test_gradients_are_exact_in_float64(kind: type[LayerKind]) -> None:
    shape = (8, 4, 4)
    for layer, _ in cases(kind, [shape])[:3]:
        module = filled(layer, shape)
        x = image(shape).requires_grad_()
        parameters = [*module.parameters()]

        def compute(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
            names = [name for name, _ in module.named_parameters()]  # noqa: B023
            values = dict(zip(names, parameters, strict=True))
            return torch.func.functional_call(module, values, x)  # noqa: B023

        assert torch.autograd.gradcheck(compute, (x, *parameters), fast_mode=True)


@each_kind
def test_the_same_seed_gives_the_same_weights_and_draws_nothing_else(
    kind: type[LayerKind],
) -> None:
    layer, shape = cases(kind, [(8, 12, 12)])[0]
    network = Network(items=(layer,))
    state = torch.get_rng_state()
    one, other = (
        build(network, channels=8, size=12, generator=torch.Generator().manual_seed(5))
        for _ in range(2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert all(
        torch.equal(*pair)
        for pair in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )
    x = image(shape, 3).float()
    assert torch.equal(one.eval()(x), other.eval()(x))


class _All(nn.Module):
    """One network for each kind, side by side, for a single export."""

    def __init__(self, networks: list[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [network(x) for network in self.networks]


@pytest.mark.filterwarnings("ignore")
def test_every_kind_is_exported_to_onnx(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    networks = [
        build(
            Network(items=(cases(kind, [(8, 12, 12)])[-1][0],)),
            channels=8,
            size=12,
            generator=torch.Generator().manual_seed(0),
        )
        for kind in KINDS
    ]
    module = _All(networks).eval()
    x = image((8, 12, 12), 2).float()
    file = tmp_path / "all.onnx"
    torch.onnx.export(module, (x,), str(file), dynamo=True, verbose=False, external_data=False)
    session = runtime.InferenceSession(file.read_bytes())
    answers = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert len(answers) == len(KINDS)
    for kind, answer, expected in zip(KINDS, answers, module(x), strict=True):
        np.testing.assert_allclose(
            answer, expected.detach().numpy(), rtol=1e-4, atol=1e-5, err_msg=kind.name
        )


def test_a_name_that_is_no_layer_is_refused_with_the_closest() -> None:
    with pytest.raises(NetworkError, match=r"(?s)unknown layer 'blurpol'.*Did you mean blurpool"):
        describe(parse("conv8 blurpol4 conv3"))


class _Halving(LayerKind):
    name = "halving"
    help = "every second pixel"

    def shape(self, shape: Shape) -> Shape:
        return shape[0], shape[1] // 2, shape[2] // 2

    def module(self, shape: Shape) -> nn.Module:
        return nn.AvgPool2d(2)


class _WrongShape(_Halving):
    def shape(self, shape: Shape) -> Shape:
        return shape


class _WrongWeights(_Halving):
    def weights(self, shape: Shape) -> int:
        return 7


class _Failing(_Halving):
    def module(self, shape: Shape) -> nn.Module:
        return nn.Conv2d(shape[0] + 1, 2, 3)


@pytest.mark.parametrize(
    ("kind", "fact"),
    [(_Halving, None), (_WrongShape, "shape"), (_WrongWeights, "weights"), (_Failing, "module")],
)
def test_a_user_s_layer_that_does_not_do_what_it_says_is_found_when_it_is_built(
    kind: type[LayerKind], fact: str | None
) -> None:
    network = Network(items=(kind(),))
    assert describe(network).rows[0].kind == "halving"
    if fact is None:
        assert build(network, generator=torch.Generator())(torch.zeros(1, 3, 32, 32)).shape[2] == 16
        return
    with pytest.raises(InputError, match=r"the layer halving \(.*" + kind.__name__) as caught:
        build(network, generator=torch.Generator())
    assert f"`{fact}`" in str(caught.value)
    assert "3×32×32" in str(caught.value)
