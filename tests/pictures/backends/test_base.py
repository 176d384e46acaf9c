import pytest

from caelab.errors import InputError
from caelab.networks import PRESETS, describe
from caelab.networks.describe import require_image_output
from caelab.networks.parser import parse
from caelab.pictures.backends.base import Geometry, geometry_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PRESETS["reference"], Geometry(multiple=4, field=26)),
        ("conv8 conv3", Geometry(multiple=1, field=5)),
        ("conv8s2 up conv3", Geometry(multiple=2, field=5)),
        ("pool3 conv8 up3 conv3", Geometry(multiple=3, field=12)),
        ("unshuffle4 conv48 shuffle4", Geometry(multiple=4, field=12)),
        ("conv8 norm conv3", Geometry(multiple=1, field=None)),
        (PRESETS["dense64"], Geometry(multiple=1, field=None, fixed=32)),
    ],
)
def test_geometry(text: str, expected: Geometry) -> None:
    assert geometry_of(parse(text), channels=3, size=32) == expected


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "dense64"])
def test_every_multiple_comes_back_and_nothing_in_between(name: str) -> None:
    multiple = geometry_of(parse(PRESETS[name]), channels=3, size=32).multiple
    assert (
        describe(parse(PRESETS[name]), channels=3, size=multiple * 9).output[1:]
        == (multiple * 9,) * 2
    )
    with pytest.raises(InputError):
        require_image_output(describe(parse(PRESETS[name]), channels=3, size=multiple * 9 + 1))


def test_a_network_that_gives_back_another_size_is_refused() -> None:
    with pytest.raises(InputError, match="image of the size of its input"):
        geometry_of(parse("conv8 pool conv3"), channels=3, size=32)
