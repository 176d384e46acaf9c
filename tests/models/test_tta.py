import pytest
from hypothesis import given
from hypothesis import strategies as st

from caelab.errors import InputError
from caelab.models.tta import TTA, parse_tta


@given(flip=st.booleans(), shift=st.integers(0, 30), scale=st.booleans())
def test_its_text_is_read_back(flip: bool, shift: int, scale: bool) -> None:
    tta = TTA(flip=flip, shift=shift, scale=scale)
    assert parse_tta(str(tta)) == tta


def test_words_come_in_any_order() -> None:
    assert parse_tta(" scale, shift2 ,flip") == TTA(flip=True, shift=2, scale=True)
    assert str(TTA()) == "none"


@pytest.mark.parametrize(
    "text", ["", "flip,flip", "shift", "shift0", "shift-1", "zoom", "none,flip"]
)
def test_anything_else_is_refused_with_what_is_known(text: str) -> None:
    with pytest.raises(InputError, match="some of flip, shiftN"):
        parse_tta(text)
