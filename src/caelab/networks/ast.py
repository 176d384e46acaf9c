"""The network language: one line of text is an architecture, and a frozen tree represents it.

    network  := item {item}
    item     := layer | "(" network ")" | "[" network "]" | COUNT "*" item | "|"
    layer    := NAME [NUMBER] {LETTER [NUMBER]} [":" ACTIVATION]

``( … )`` is a residual block, x + f(x). ``[ … ]`` is a skip block, which concatenates x and f(x)
over channels. ``COUNT * item`` means COUNT copies of the item, each with its own weights. The code
mark ``|`` separates encoder and decoder. A text has at most one code mark, which may not be inside
a repetition. If the code mark is inside a bracket, the decoder gets the bracket's x in addition to
the code. Layers are separated by blanks and contain no blanks; elsewhere blanks do not matter. The
kinds of layers are in ``caelab.networks.layers``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from caelab.errors import InputError
from caelab.networks.layers.base import LayerKind, Span


@dataclass(frozen=True, kw_only=True)
class _Item:
    span: Span = field(default=(0, 0), compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class _Group(_Item):
    items: "tuple[Item, ...]"


class Residual(_Group):
    """Residual block ``( … )``: x + f(x)."""

    signs = "(", ")"


class Skip(_Group):
    """Skip block ``[ … ]``: the channels of x, followed by the channels of f(x)."""

    signs = "[", "]"


@dataclass(frozen=True, kw_only=True)
class Repeat(_Group):
    """Repetition ``COUNT * item``: ``count`` copies of an item, each with its own weights."""

    count: int


class CodeMark(_Item):
    """Code mark ``|``: the tensor at this position is the code."""

    def __str__(self) -> str:
        return "|"


Bracket = Residual | Skip
Item = LayerKind | Bracket | Repeat | CodeMark


@dataclass(frozen=True, kw_only=True)
class Network:
    """A whole network; ``str(network)`` is its text in canonical form.

    >>> from caelab.networks import parse
    >>> network = parse(" conv8 pool2|up  conv3k3")
    >>> str(network)
    'conv8 pool | up conv3'
    >>> network.items[0].number
    8

    Attributes:
        items: The items in order. The code mark is one of the items, or is inside a bracket, or is
            missing. The span of each item is its position in ``text``.
        text: The text in canonical form: one blank between items, option letters in a fixed order,
            default values left out.
    """

    items: tuple[Item, ...]
    text: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # Spans are computed anew from the printed text, so that an error about a changed tree
        # points to the right place.
        text, items = _locate(self.items, 0)
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "items", items)

    def __str__(self) -> str:
        return self.text

    def error(self, problem: str, span: Span, expected: str) -> "NetworkError":
        """Return an error that points at ``span`` in the canonical text.

        Args:
            problem: What is wrong, without a final period.
            span: Start and end of the wrong part in ``text``.
            expected: What to write instead, in whole sentences.
        """
        return NetworkError(problem, text=self.text, span=span, expected=expected)

    @property
    def halves(self) -> tuple[tuple[Item, ...], tuple[Item, ...]] | None:
        """The items of encoder and decoder; ``None`` unless a code mark is outside brackets."""
        # Spans are ignored when items are compared, so a new mark equals the one in the list.
        if CodeMark() not in self.items:
            return None
        mark = self.items.index(CodeMark())
        return self.items[:mark], self.items[mark + 1 :]


def _locate(items: tuple[Item, ...], start: int) -> tuple[str, tuple[Item, ...]]:
    """Return the text of ``items``, and ``items`` with their spans in a text from ``start`` on."""
    words: list[str] = []
    located: list[Item] = []
    for item in items:
        if isinstance(item, _Group):
            opening, closing = (f"{item.count}*", "") if isinstance(item, Repeat) else item.signs
            inner, inner_items = _locate(item.items, start + len(opening))
            word = opening + inner + closing
            item = replace(item, items=inner_items)
        else:
            word = str(item)
        words.append(word)
        located.append(replace(item, span=(start, start + len(word))))
        start += len(word) + 1  # the blank after the word
    return " ".join(words), tuple(located)


def unroll(items: tuple[Item, ...]) -> Iterator[LayerKind | Bracket | CodeMark]:
    """Yield the items with repetitions written out, except repetitions inside brackets."""
    for item in items:
        if isinstance(item, Repeat):
            yield from unroll(item.items * item.count)
        else:
            yield item


def spell_out(network: Network) -> Network:
    """Return the network with every repetition written out and every activation named.

    A layer keeps the activation that the text names. Without one, a conv, deconv or dense layer
    gets ReLU, unless it is the last such layer of the network. All other layers get ``none``.

    >>> from caelab.networks import parse
    >>> str(spell_out(parse("2*conv8 pool conv3")))
    'conv8:relu conv8:relu pool:none conv3:none'
    """
    # Going backward, the first layer with weights that is met is the last one of the network.
    last_is_met = False

    def backwards(items: tuple[Item, ...]) -> tuple[Item, ...]:
        nonlocal last_is_met
        spelled: list[Item] = []
        for item in reversed(list(unroll(items))):
            match item:
                case LayerKind():
                    default = "relu" if item.weighted and last_is_met else "none"
                    last_is_met = last_is_met or item.weighted
                    spelled.append(replace(item, activation=item.activation or default))
                case CodeMark():
                    spelled.append(item)
                case _:
                    spelled.append(replace(item, items=backwards(item.items)))
        return tuple(reversed(spelled))

    return Network(items=backwards(network.items))


class NetworkError(InputError):
    """Error in the text of a network, or in how its layers fit together.

    The message shows the text, carets (^) under the wrong part, and what to write instead.

    Attributes:
        column: Column of the text at which the wrong part begins, counted from 1.

    Args:
        problem: What is wrong, without a final period.
        text: The network's text.
        span: Start and end of the wrong part in ``text``.
        expected: What to write instead, in whole sentences.
    """

    def __init__(self, problem: str, *, text: str, span: Span, expected: str) -> None:
        start, end = span
        self.column = start + 1
        # Blanks replace control characters, which would shift the carets or move the cursor.
        shown = re.sub(r"[^ -~\u00a0-\U0010ffff]", " ", text)
        # Only the part of a long text around the error is shown.
        left, right = max(0, start - 60), max(100, start + 40)
        before, after = "…" * (left > 0), "…" * (right < len(shown))
        excerpt = before + shown[left:right] + after
        indent = len(before) + start - left
        carets = "^" * max(1, min(end, right) - start)
        super().__init__(
            f"{problem}, at column {self.column}:\n\n    {excerpt}\n   "
            f" {' ' * indent}{carets}\n\n{expected}"
        )
