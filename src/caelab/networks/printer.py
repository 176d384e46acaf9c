"""The network language: one line of text is the architecture. Text → frozen description → text; no
torch here.

    network  := sequence ["|" sequence]                 "|" marks the code: encoder | decoder
    item     := layer | "(" sequence ")" | "[" sequence "]" | COUNT "*" item
    layer    := NAME [NUMBER] {LETTER NUMBER} [":" ACTIVATION]      NUMBER is whole, but a probability: dropout0.2

``( … )`` is a residual, x + f(x); ``[ … ]`` a skip, x and f(x) concatenated over channels. ``COUNT
* item`` stands for copies with weights of their own. The code mark may stand inside nested brackets
(then the brackets run around the code), once in a text, and never inside a repetition. Layers are
parted by blanks; elsewhere blanks do not matter.

What every layer's name, number and letters mean is in ``tree.KINDS``; activations are in
``tree.ACTIVATIONS``.
"""

from collections.abc import Iterator
from dataclasses import replace

from caelab.networks.ast import (
    ACTIVATIONS,
    KINDS,
    LETTERS,
    CodeMark,
    Item,
    Layer,
    Network,
    NetworkError,
    Repeat,
    Residual,
    Skip,
    Span,
)
from caelab.networks.parser import parse

__all__ = [
    "ACTIVATIONS",
    "KINDS",
    "CodeMark",
    "Item",
    "Layer",
    "Network",
    "NetworkError",
    "Repeat",
    "Residual",
    "Skip",
    "Span",
    "format_layer",
    "format_network",
    "parse",
    "spell_out",
]


def format_network(network: Network) -> str:
    """Print a network in the canonical way: one blank between items, letters in order, defaults
    left out.
    """
    return _format_items(network.items)


def format_layer(layer: Layer) -> str:
    """Print one layer in the canonical way."""
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


def spell_out(network: Network) -> Network:
    """Write out every repetition and every activation, so that each layer stands once and says all
    it does.

    ReLU follows a convolution or dense layer that names no activation, except the last one of the
    network, which is linear; nothing follows other layers.
    """
    return Network(items=tuple(reversed(list(_spelled_backwards(network.items, _Last())))))


class _Last:
    """Whether the last layer with weights has been met, on the way back through the text."""

    met = False


def _spelled_backwards(items: tuple[Item, ...], last: _Last) -> Iterator[Item]:
    for item in reversed(items):
        match item:
            case Repeat():
                for _ in range(item.count):
                    yield from _spelled_backwards((item.item,), last)
            case Residual() | Skip():
                yield replace(
                    item, items=tuple(reversed(list(_spelled_backwards(item.items, last))))
                )
            case Layer():
                weighted = KINDS[item.name].weighted
                default = "relu" if weighted and last.met else "none"
                last.met = last.met or weighted
                yield item if item.activation else replace(item, activation=default)
            case CodeMark():
                yield item


def _format_items(items: tuple[Item, ...]) -> str:
    return " ".join(_format_item(item) for item in items)


def _format_item(item: Item) -> str:
    match item:
        case Layer():
            return format_layer(item)
        case Residual():
            return f"({_format_items(item.items)})"
        case Skip():
            return f"[{_format_items(item.items)}]"
        case Repeat():
            return f"{item.count}*{_format_item(item.item)}"
        case CodeMark():
            return "|"
