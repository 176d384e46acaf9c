"""The network language: one line of text is the architecture, and a frozen tree is its meaning.

    network  := sequence ["|" sequence]                 "|" marks the code: encoder | decoder
    item     := layer | "(" sequence ")" | "[" sequence "]" | COUNT "*" item
    layer    := NAME [NUMBER] {LETTER NUMBER} [":" ACTIVATION]

``( … )`` is a residual, x + f(x); ``[ … ]`` a skip, x and f(x) concatenated over channels. ``COUNT
* item`` stands for copies with weights of their own. The code mark may stand inside nested brackets
(then the brackets run around the code), once in a text, and never inside a repetition. Layers are
separated by blanks; elsewhere blanks do not matter.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import assert_never

from caelab.errors import InputError

ACTIVATIONS = (
    "none",
    "relu",
    "leaky",
    "elu",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "tanh",
    "sigmoid",
)
"""Names that may follow the colon. ``leaky`` has slope 0.01; ``none`` is the identity."""

LETTERS = {
    "k": "kernel",
    "s": "stride",
    "p": "padding",
    "d": "dilation",
    "h": "height",
    "w": "width",
}
"""Option letters and the fields of ``Layer`` they set; ``v`` (padding valid) is ``p0``."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a layer's name allows: the meaning of its number, and its option letters.

    Attributes:
        number: What the number counts; ``None`` where the layer takes none.
        least: The smallest number allowed.
        default: The number where none is written.
        optional: Whether the number may be left out.
        decimal: Whether the number is a probability p, 0 ≤ p < 1, with at most four decimals, and
            not a whole number.
        letters: The option letters, in the order in which they are printed.
        weighted: Whether it has a linear map with weights: then ReLU follows by default.
    """

    number: str | None
    least: int = 1
    default: int | None = None
    optional: bool = False
    decimal: bool = False
    letters: str = ""
    weighted: bool = False


KINDS = {
    "conv": Kind(number="channels", letters="ksvpd", weighted=True),
    "deconv": Kind(number="channels", letters="ksvp", weighted=True),
    "dense": Kind(number="channels", letters="hw", weighted=True),
    "pool": Kind(number="window", least=2, default=2, optional=True),
    "avgpool": Kind(number="window", least=2, default=2, optional=True),
    "up": Kind(number="factor", least=2, default=2, optional=True),
    "upbilinear": Kind(number="factor", least=2, default=2, optional=True),
    "shuffle": Kind(number="factor", least=2),
    "unshuffle": Kind(number="factor", least=2),
    "norm": Kind(number="groups", optional=True),
    "batchnorm": Kind(number=None),
    "dropout": Kind(number="probability", decimal=True),
    "context": Kind(number=None),
    "excite": Kind(number="reduction"),
    "attend": Kind(number="heads", default=1, optional=True),
    "classify": Kind(number="classes", least=2),
}
"""The layers, by name. Convolutions are 3×3, stride 1, padding "same" unless letters say otherwise.

``conv``, ``deconv`` (transposed): convolutions. ``dense64``: every number of x into 64 numbers,
shape (64, 1, 1); ``dense16h8w8``: into shape (16, 8, 8). ``pool`` (maximum), ``avgpool``: stride =
window. ``up`` (nearest neighbour), ``upbilinear`` (half-pixel centres). ``shuffle2``: (4C, H, W) →
(C, 2H, 2W), ``unshuffle2``: its inverse. ``norm``: group normalisation. ``batchnorm``: batch
normalisation. ``dropout0.2``: in training, whole channels are set to 0 with that probability, and
the others divided by 1 − p. Three words let every place know of the whole image: ``context`` adds a
linear map of the channels' means, ``excite4`` scales every channel by a gate computed from the
means through C / 4 hidden units (squeeze-and-excitation), ``attend4`` is self-attention over the
positions with 4 heads, to be put in a residual: ``(norm attend4)``. ``classify10`` hands on what it
is given; in training, a linear map of the channels' means tells which of 10 classes the image is
of, a second task beside the first.
"""

Span = tuple[int, int]
"""Start and end, in characters of the text that was parsed."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer. ``padding`` ``None`` means "same"; ``activation`` ``None`` means the default of
    its place.
    """

    name: str
    number: int | None = None
    kernel: int = 3
    stride: int = 1
    padding: int | None = None
    dilation: int = 1
    height: int = 1
    width: int = 1
    probability: float = 0.0
    activation: str | None = None
    span: Span = field(default=(0, 0), compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class Residual:
    """``( … )``: x + f(x)."""

    items: "tuple[Item, ...]"
    span: Span = field(default=(0, 0), compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class Skip:
    """``[ … ]``: x and f(x), concatenated over channels, x first."""

    items: "tuple[Item, ...]"
    span: Span = field(default=(0, 0), compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """``COUNT * item``: copies in a row, each with weights of its own."""

    count: int
    item: "Item"
    span: Span = field(default=(0, 0), compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class CodeMark:
    """``|``: the tensor here is the code."""

    span: Span = field(default=(0, 0), compare=False, repr=False)


Item = Layer | Residual | Skip | Repeat | CodeMark


@dataclass(frozen=True, kw_only=True)
class Network:
    """A whole network; ``str(network)`` is its text in the canonical form.

    Attributes:
        items: The items in order, the code mark among them (or inside a bracket, or nowhere). Their
            spans are positions in ``text``.
        text: The canonical text: one blank between items, letters in order, defaults left out.
    """

    items: tuple[Item, ...]
    text: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # Printing moves every span, so that an error about a changed tree points into its own text.
        text, items = _locate(self.items, 0)
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "items", items)

    def __str__(self) -> str:
        return self.text

    @property
    def halves(self) -> tuple[tuple[Item, ...], tuple[Item, ...]] | None:
        """Encoder and decoder, where the mark stands outside all brackets; ``None`` elsewhere."""
        marks = [index for index, item in enumerate(self.items) if isinstance(item, CodeMark)]
        return (self.items[: marks[0]], self.items[marks[0] + 1 :]) if marks else None


def format_layer(layer: Layer) -> str:
    """Print one layer in the canonical form."""
    kind = KINDS[layer.name]
    word = layer.name
    if kind.decimal:
        word += f"{layer.probability:.4f}".rstrip("0").rstrip(".")
    elif layer.number is not None and layer.number != kind.default:
        word += str(layer.number)
    defaults = Layer(name=layer.name)
    for letter in kind.letters:
        if letter == "v":
            word += "v" if layer.padding == 0 else ""
            continue
        value = getattr(layer, LETTERS[letter])
        if value != getattr(defaults, LETTERS[letter]) and not (letter == "p" and value == 0):
            word += f"{letter}{value}"
    return word if layer.activation is None else f"{word}:{layer.activation}"


def _locate(items: tuple[Item, ...], start: int) -> tuple[str, tuple[Item, ...]]:
    """Print ``items`` from the position ``start`` on; return the text and the items with spans."""
    words: list[str] = []
    located: list[Item] = []
    for item in items:
        match item:
            case Layer():
                word = format_layer(item)
            case Residual() | Skip():
                opening, closing = "()" if isinstance(item, Residual) else "[]"
                inner, inner_items = _locate(item.items, start + 1)
                word = f"{opening}{inner}{closing}"
                item = replace(item, items=inner_items)
            case Repeat():
                count = f"{item.count}*"
                inner, (inner_item,) = _locate((item.item,), start + len(count))
                word = count + inner
                item = replace(item, item=inner_item)
            case CodeMark():
                word = "|"
            case _:
                assert_never(item)
        words.append(word)
        located.append(replace(item, span=(start, start + len(word))))
        start += len(word) + 1
    return " ".join(words), tuple(located)


def unroll(items: tuple[Item, ...]) -> Iterator[Layer | Residual | Skip | CodeMark]:
    """Yield the items with repetitions written out; those inside brackets stay repetitions."""
    for item in items:
        if isinstance(item, Repeat):
            for _ in range(item.count):
                yield from unroll((item.item,))
        else:
            yield item


def spell_out(network: Network) -> Network:
    """Write out every repetition and every activation, so that each layer says all that it does.

    ReLU follows a convolution or dense layer that names no activation, except the last one of the
    network, which is linear; nothing follows other layers.
    """
    last_is_met = False

    def backwards(items: tuple[Item, ...]) -> tuple[Item, ...]:
        nonlocal last_is_met
        spelled: list[Item] = []
        for item in reversed(list(unroll(items))):
            if isinstance(item, Layer):
                weighted = KINDS[item.name].weighted
                default = "relu" if weighted and last_is_met else "none"
                last_is_met = last_is_met or weighted
                spelled.append(replace(item, activation=item.activation or default))
            elif isinstance(item, CodeMark):
                spelled.append(item)
            else:
                spelled.append(replace(item, items=backwards(item.items)))
        return tuple(reversed(spelled))

    return Network(items=backwards(network.items))


class NetworkError(InputError):
    """A network's text is wrong. The message holds the text, a caret line under the place, and what
    was expected.

    Attributes:
        column: The place, counted from 1.
    """

    def __init__(self, problem: str, *, text: str, span: Span, expected: str) -> None:
        start, end = span
        self.column = start + 1
        shown = re.sub(r"[^ -~\u00a0-\U0010ffff]", " ", text)
        left, right = max(0, start - 60), max(100, start + 40)
        excerpt = ("…" if left else "") + shown[left:right] + ("…" if right < len(shown) else "")
        indent = start - left + (1 if left else 0)
        carets = "^" * max(1, min(end, right) - start)
        super().__init__(
            f"{problem}, at column {self.column}:\n\n    {excerpt}\n   "
            f" {' ' * indent}{carets}\n\n{expected}"
        )
