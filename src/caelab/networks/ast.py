"""The network language: one line of text is the architecture, and a frozen tree is its meaning.

    network  := sequence ["|" sequence]                 "|" marks the code: encoder | decoder
    item     := layer | "(" sequence ")" | "[" sequence "]" | COUNT "*" item
    layer    := NAME [NUMBER] {LETTER NUMBER} [":" ACTIVATION]

``( … )`` is a residual block, x + f(x). ``[ … ]`` is a skip block, x and f(x) concatenated over
channels. ``COUNT * item`` means copies of the item, each with its own weights. A text has at most
one code mark, never inside a repetition; inside brackets, the brackets run around the code. Layers
are separated by blanks; elsewhere blanks do not matter. ``caelab.networks.layers`` has the layers.
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
    """Skip block ``[ … ]``: x and f(x), concatenated over channels, x first."""

    signs = "[", "]"


@dataclass(frozen=True, kw_only=True)
class Repeat(_Group):
    """Repetition ``COUNT * item``: copies of one item, each with its own weights."""

    count: int


class CodeMark(_Item):
    """Code mark ``|``: the tensor at this position is the code."""

    def __str__(self) -> str:
        return "|"


Bracket = Residual | Skip
Item = LayerKind | Bracket | Repeat | CodeMark


@dataclass(frozen=True, kw_only=True)
class Network:
    """A whole network; ``str(network)`` is its text in the canonical form.

    >>> from caelab.networks import parse
    >>> network = parse(" conv8 pool2|up  conv3k3")
    >>> str(network)
    'conv8 pool | up conv3'
    >>> network.items[0].number
    8

    Attributes:
        items: The items in order. The code mark is one of them, or inside one, or missing. Spans of
            items are positions in ``text``.
        text: The canonical text: one blank between items, letters in order, defaults left out.
    """

    items: tuple[Item, ...]
    text: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # Printing sets every span anew, so that errors about a changed tree point into its own
        # text.
        text, items = _locate(self.items, 0)
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "items", items)

    def __str__(self) -> str:
        return self.text

    def error(self, problem: str, span: Span, expected: str) -> "NetworkError":
        """Return an error that points at ``span`` in the canonical text.

        Args:
            problem: What is wrong.
            span: The position.
            expected: What to write instead, in sentences.
        """
        return NetworkError(problem, text=self.text, span=span, expected=expected)

    @property
    def halves(self) -> tuple[tuple[Item, ...], tuple[Item, ...]] | None:
        """Encoder and decoder; ``None`` if there is no code mark, or it is inside a bracket."""
        # Spans are ignored when items are compared, so a new mark equals the one in the list.
        if CodeMark() not in self.items:
            return None
        mark = self.items.index(CodeMark())
        return self.items[:mark], self.items[mark + 1 :]


def _locate(items: tuple[Item, ...], start: int) -> tuple[str, tuple[Item, ...]]:
    """Print ``items`` from the position ``start`` on; return the text and the items with spans."""
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
    """Yield the items with repetitions written out; those inside brackets stay repetitions."""
    for item in items:
        if isinstance(item, Repeat):
            yield from unroll(item.items * item.count)
        else:
            yield item


def spell_out(network: Network) -> Network:
    """Write out every repetition and every activation, so that each layer states all of it.

    ReLU follows a convolution or dense layer that names no activation, except the last one of the
    network, which is linear; nothing follows other layers.

    >>> from caelab.networks import parse
    >>> str(spell_out(parse("2*conv8 pool conv3")))
    'conv8:relu conv8:relu pool:none conv3:none'
    """
    # From the end, because the layers after a layer tell whether it is the last with weights.
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
    """A network is wrong.

    The message holds the text, carets under the position, and what was expected.

    Attributes:
        column: The position, counted from 1.

    Args:
        problem: What is wrong.
        text: The network's text.
        span: The position in the text.
        expected: What to write instead, in sentences.
    """

    def __init__(self, problem: str, *, text: str, span: Span, expected: str) -> None:
        start, end = span
        self.column = start + 1
        # Control characters would move the caret, or the terminal's cursor.
        shown = re.sub(r"[^ -~\u00a0-\U0010ffff]", " ", text)
        # Of a long text, the part around the position is shown.
        left, right = max(0, start - 60), max(100, start + 40)
        before, after = "…" * (left > 0), "…" * (right < len(shown))
        excerpt = before + shown[left:right] + after
        indent = len(before) + start - left
        carets = "^" * max(1, min(end, right) - start)
        super().__init__(
            f"{problem}, at column {self.column}:\n\n    {excerpt}\n   "
            f" {' ' * indent}{carets}\n\n{expected}"
        )
