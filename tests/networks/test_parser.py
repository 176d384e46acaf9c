"""Every kind of mistake: the caret stands under it, and the message says what was expected."""

from collections.abc import Callable

import pytest

from caelab.errors import InputError
from caelab.networks.ast import NetworkError
from caelab.networks.parser import parse


@pytest.mark.parametrize(
    ("text", "carets", "problem", "expected"),
    [
        ("", "^", "the network is empty", "Expected a layer"),
        ("conv8 konv12", "      ^^^^", "unknown layer 'konv'", "Did you mean conv?"),
        ("Conv8", "^^^^", "unknown layer 'Conv'", "Did you mean conv?"),
        ("conv8 $", "      ^", "unknown layer '$'", "Layers: conv, "),
        ("conv pool", "    ^", "conv without its number of channels", "such as conv8"),
        ("conv0", "    ^", "conv's channels is 0", "from 1 to 65536"),
        ("pool1", "    ^", "pool's window is 1", "from 2 to 65536"),
        ("conv999999999 pool", "    ^^^^^^^^^", "conv's channels is 999999999", "from 1 to 65536"),
        ("batchnorm8", "         ^", "batchnorm takes no number", "batchnorm without a number"),
        ("conv8z3", "     ^", "unknown option 'z' of conv", "k, s, v, p, d"),
        ("pool2s2", "     ^", "unknown option 's' of pool", "Options of pool: none"),
        ("conv8 conv8k", "            ^", "option 'k' without its number", "the kernel"),
        ("conv8k0", "      ^", "the kernel is 0", "from 1"),
        ("conv8k3k5", "       ^", "kernel given twice", "once"),
        ("conv8vp1", "      ^", "padding given twice", "v and p both set the padding"),
        ("conv8-3", "     ^", "unknown option '-' of conv", "Options of conv"),
        ("conv8:rellu", "      ^^^^^", "unknown activation 'rellu'", "Activations: none, relu"),
        ("conv8:", "      ^", "unknown activation ''", "Activations: "),
        ("dropout", "       ^", "dropout without its probability", "such as dropout0.2"),
        ("dropout2", "       ^", "dropout's probability is 2", "from 0 to below 1"),
        ("pool dropout1.0", "            ^^^", "dropout's probability is 1.0", "from 0 to below 1"),
        ("dropout.2", "       ^^", "dropout's probability is .2", "such as dropout0.2"),
        (
            "dropout0.12345",
            "       ^^^^^^^",
            "dropout's probability is 0.12345",
            "at most four decimals",
        ),
        (
            "dropout0.2k3",
            "          ^",
            "unknown option 'k' of dropout",
            "Options of dropout: none",
        ),
        ("conv8.5", "     ^", "unknown option '.' of conv", "Options of conv"),
        ("context8", "       ^", "context takes no number", "context without a number"),
        ("excite", "      ^", "excite without its reduction", "such as excite8"),
        ("attend0", "      ^", "attend's heads is 0", "from 1 to 65536"),
        ("attendd4", "^^^^^^^", "unknown layer 'attendd'", "Did you mean attend?"),
        ("conv8 (pool", "      ^", "'(' is never closed", "Expected a ')'"),
        ("conv8 )", "      ^", "stray ')'", "No bracket is open"),
        (
            "[conv8 (pool | up]",
            "                 ^",
            "stray ']'",
            "Expected ')' for the '(' at column 8",
        ),
        ("conv8 ()", "       ^", "an empty bracket", "a layer before ')'"),
        ("conv8 [|]", "        ^", "an empty bracket", "a layer before ']'"),
        ("| conv3", "^", "nothing stands before '|'", "encoder"),
        ("conv8 |", "       ^", "nothing stands after '|'", "decoder"),
        ("conv8 | up | conv3", "           ^", "a second '|'", "marked at column 7"),
        ("2*(conv8 | conv8)", "         ^", "'|' inside a repetition", "only one code"),
        ("* conv8", "^", "'*' without a count", "COUNT*item"),
        ("conv8 2 conv8", "       ^", "no '*' after the count 2", "2*conv8"),
        ("2conv8", " ^", "no '*' after the count 2", "a layer begins with its name"),
        ("conv8 2*", "        ^", "nothing to repeat", "after 2*"),
        ("(2*)", "   ^", "nothing to repeat", "after 2*"),
        ("2*|", "  ^", "nothing to repeat", "after 2*"),
        ("0*conv8", "^", "the count is 0", "from 1 to 2000"),
        ("1000000*(1000000*conv8)", "^^^^^^^", "the count is 1000000", "from 1 to 2000"),
        ("50*(50*conv8)", "^^^^^^^^^^^^^", "2550 layers", "At most 2000"),
        ("1000*conv8 1001*pool", "^^^^^^^^^^^^^^^^^^^^", "2001 layers", "At most 2000"),
    ],
)
def test_the_caret_stands_under_the_mistake(
    text: str, carets: str, problem: str, expected: str
) -> None:
    with pytest.raises(NetworkError) as caught:
        parse(text)
    first, blank, shown, under, blank_again, last = str(caught.value).split("\n")
    assert problem in first
    assert f"column {carets.index('^') + 1}" in first
    assert caught.value.column == carets.index("^") + 1
    assert (blank, shown, under.rstrip(), blank_again) == ("", f"    {text}", f"    {carets}", "")
    assert expected in last


def test_a_network_error_is_the_users_to_mend() -> None:
    with pytest.raises(InputError):
        parse("konv8")


def test_lines_and_control_characters_keep_the_caret_in_place() -> None:
    with pytest.raises(NetworkError) as caught:
        parse("conv8\n\tpool\x1b[31m")
    shown, under = str(caught.value).split("\n")[2:4]
    assert shown == "    conv8  pool [31m"
    assert under.index("^") - 4 == "conv8\n\tpool\x1b".index("\x1b")


def test_a_long_text_is_shown_around_the_mistake() -> None:
    text = "conv8 " * 100 + "konv8 " + "conv8 " * 100
    with pytest.raises(NetworkError) as caught:
        parse(text)
    shown, under = str(caught.value).split("\n")[2:4]
    assert len(shown) < 120
    assert shown[under.index("^") : under.rindex("^") + 1] == "konv"


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5_000 + "conv8" + ")" * 5_000,
        "[" * 40 + "conv8" + "]" * 40,
        "2*" * 40 + "conv8",
        "9*(" * 30 + "conv8" + ")" * 30,
        "1" * 9_000 + "*conv8",
        "conv" + "1" * 9_000,
        "conv8 " * 2_001,
        "conv8k" + "1" * 9_000,
        "dropout0." + "1" * 9_000,
    ],
)
def test_hostile_texts_are_refused_with_little_work(
    text: str, count_calls: Callable[[Callable[[], object]], int]
) -> None:
    def refused() -> None:
        nonlocal message
        with pytest.raises(NetworkError) as caught:
            parse(text)
        message = str(caught.value)

    message = ""
    assert count_calls(refused) < 20_000
    assert 0 < len(message) < 600
