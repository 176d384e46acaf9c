"""Text → description → text, and what is written out between the lines."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caelab.networks.ast import (
    CodeMark,
    Item,
    Network,
    Repeat,
    Residual,
    Skip,
    spell_out,
)
from caelab.networks.layers.base import ACTIVATIONS, LayerKind
from caelab.networks.parser import parse


@st.composite
def layers(draw: st.DrawFn) -> LayerKind:
    name = draw(st.sampled_from(list(LayerKind.registry)))
    kind = LayerKind.registry[name]
    takes = kind.takes
    if takes and takes.decimal:
        probability = draw(st.integers(0, 9_999)) / 10_000
        return kind(
            probability=probability,
            activation=draw(st.none() | st.sampled_from(ACTIVATIONS)),
        )
    number = 0
    if takes and (not takes.optional or draw(st.booleans())):
        number = draw(st.integers(takes.min, 65_536))
    values = {
        "k": ("kernel", st.integers(1, 9)),
        "s": ("stride", st.integers(1, 4)),
        "p": ("padding", st.none() | st.integers(0, 4)),
        "d": ("dilation", st.integers(1, 3)),
        "h": ("height", st.integers(1, 9)),
        "w": ("width", st.integers(1, 9)),
    }
    fields = {
        field: draw(strategy)
        for letter, (field, strategy) in values.items()
        if letter in kind.letters
    }
    return kind(
        number=number,
        activation=draw(st.none() | st.sampled_from(ACTIVATIONS)),
        **fields,
    )


items: st.SearchStrategy[Item] = st.recursive(
    layers(),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda found: Residual(items=tuple(found))),
        st.lists(inner, min_size=1, max_size=3).map(lambda found: Skip(items=tuple(found))),
        st.builds(Repeat, count=st.integers(1, 3), items=st.tuples(inner)),
    ),
    max_leaves=12,
)
sequences = st.lists(items, min_size=1, max_size=4).map(tuple)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    before, after = draw(sequences), draw(sequences)
    if draw(st.booleans()):
        return Network(items=before)
    marked = (*before, CodeMark(), *after)
    for _ in range(draw(st.integers(0, 3))):
        around = draw(st.sampled_from([Residual, Skip]))
        marked = (*draw(sequences), around(items=marked), *draw(sequences))
    return Network(items=marked)


@given(networks())
def test_printing_and_parsing_are_inverse(network: Network) -> None:
    text = str(network)
    assert parse(text) == network
    assert str(parse(text)) == text


@given(networks(), st.randoms(use_true_random=False))
def test_blanks_between_items_do_not_matter(network: Network, random) -> None:
    text = str(network)
    spaced = "".join(
        (
            character
            if character.isalnum() or character in ":."
            else f"{random.choice(['', ' ', chr(10), '  '])}{character} "
        )
        for character in text
    )
    assert parse(spaced) == network


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("conv8k3s1d1", "conv8"),
        ("conv8p0", "conv8v"),
        ("conv8d2vs2k5", "conv8k5s2vd2"),
        ("pool2 up2 upbilinear2 pool3", "pool up upbilinear pool3"),
        ("dense64h1w8", "dense64w8"),
        (" 2 * ( conv8\t2*3*conv8 )[up]", "2*(conv8 2*3*conv8) [up]"),
        ("conv008:none", "conv8:none"),
        ("dropout0.20 dropout0 dropout0.0001:relu", "dropout0.2 dropout0 dropout0.0001:relu"),
        ("attend1 attend4 excite8 context:gelu", "attend attend4 excite8 context:gelu"),
    ],
)
def test_canonical_text(text: str, canonical: str) -> None:
    assert str(parse(text)) == canonical


def test_every_activation_and_repetition_is_written_out() -> None:
    spelled = spell_out(parse("2*conv8 pool [conv4:gelu | 2*(norm conv5)] 2*conv3 up"))
    assert (
        str(spelled)
        == "conv8:relu conv8:relu pool:none [conv4:gelu | (norm:none conv5:relu) (norm:none"
        " conv5:relu)] conv3:relu conv3:none up:none"
    )


def test_layers_that_see_the_whole_image_leave_the_last_convolution_linear() -> None:
    spelled = spell_out(parse("conv8 conv8 context excite2 (norm attend) dropout0.1"))
    assert (
        str(spelled)
        == "conv8:relu conv8:none context:none excite2:none (norm:none attend:none) dropout0.1:none"
    )


def test_the_last_layer_with_weights_may_stand_deep_inside() -> None:
    spelled = spell_out(parse("conv8 [(conv3 dense2:tanh deconv3) shuffle2]"))
    assert str(spelled) == "conv8:relu [(conv3:relu dense2:tanh deconv3:none) shuffle2:none]"


def test_halves() -> None:
    network = parse("conv8 pool | up conv3")
    assert network.halves is not None
    assert [str(Network(items=half)) for half in network.halves] == [
        "conv8 pool",
        "up conv3",
    ]
    assert parse("conv8").halves is None
    assert parse("[conv8 | conv8]").halves is None


def test_the_language_and_the_description_need_no_torch() -> None:
    code = (
        "import sys, caelab.networks as n; "
        "n.describe(n.adapt(n.parse('unet'), outputs=2)).as_table(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
