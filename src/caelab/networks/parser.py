"""Parse the text of a network into its tree, with errors that point to the wrong part."""

import difflib
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from caelab.networks.ast import (
    Bracket,
    CodeMark,
    Item,
    Network,
    NetworkError,
    Repeat,
    Residual,
    Skip,
)
from caelab.networks.layers import (  # noqa: F401 - registers the layer kinds
    convolutions,
    global_layers,
    normalization,
    resampling,
)
from caelab.networks.layers.base import ACTIVATIONS, LETTERS, LayerKind
from caelab.networks.presets import PRESETS

MAX_CHARACTERS = 10_000
"""Largest number of characters of a text."""

MAX_LAYERS = 2_000
"""Largest number of layers and brackets, with repetitions written out."""

MAX_DEPTH = 32
"""Largest number of brackets and repetitions around a layer."""

MAX_NUMBER = 65_536
"""Largest number after a layer's name or option letter."""

PROBABILITY = r"0(\.[0-9]{1,4})?"
"""Pattern of a probability below 1, with at most four decimals."""

REST = r"[^\s()\[\]|*]*"
"""Pattern of the rest of a word, which ends before a blank, a bracket, ``|`` or ``*``."""


def parse(text: str) -> Network:
    """Parse a network's text, or the name of a preset.

    >>> parse("conv8 pool | up conv3").halves[1][0].name
    'up'
    >>> str(parse("reference"))
    'conv8 pool conv12 pool conv16 | up conv12 up conv3'
    >>> parse("conv8 pol")
    Traceback (most recent call last):
    ...
    caelab.networks.ast.NetworkError: unknown layer 'pol', at column 7:
    <BLANKLINE>
        conv8 pol
              ^^^
    <BLANKLINE>
    Layers: ... Did you mean pool?

    Raises:
        NetworkError: The text is not a network, or exceeds a limit (``MAX_…`` above).
    """
    word = text.strip()
    parser = _Parser(PRESETS.get(word, text))
    # A single word of letters that names no layer was probably meant as the name of a preset.
    if re.fullmatch("[A-Za-z-]+", word) and word not in {*PRESETS, *LayerKind.registry}:
        close = difflib.get_close_matches(word.lower(), [*PRESETS, *LayerKind.registry], n=1)
        # Read up to the end of the word, so that the error underlines all of it.
        parser.take(rf"\s*{word}")
        parser.fail(
            f"no network is called '{word[:40]}'",
            f"Expected a network's text, or a preset: {', '.join(PRESETS)}.{_hint(close)}",
            text.index(word),
        )
    return parser.network()


class _Parser:
    """One pass through a text by recursive descent, at most ``MAX_DEPTH`` levels deep.

    Attributes:
        text: The whole text.
        position: Number of characters that were read.
        mark: Position of the code mark; ``None`` until it was read.
        repetitions: Number of repetitions around the current position.
        layers: Number of layers and brackets that were read, with repetitions written out.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.mark: int | None = None
        self.position = self.repetitions = self.layers = 0
        if len(text) > MAX_CHARACTERS:
            self.fail(
                f"the network's text has {len(text)} characters",
                f"At most {MAX_CHARACTERS} are allowed. Write repeated layers as COUNT*item.",
                MAX_CHARACTERS,
            )

    def fail(
        self, problem: str, expected: str, start: int | None = None, end: int | None = None
    ) -> NoReturn:
        """Raise an error about the text from ``start`` to ``end``.

        Args:
            problem: What is wrong, without a final period.
            expected: What to write instead, in whole sentences.
            start: Where the wrong part begins; by default at the current position, where something
                is missing.
            end: Where the wrong part ends; by default at the current position.
        """
        start = self.position if start is None else start
        # At least one character is marked. At the end of the text, the mark stands one column
        # behind the text.
        span = start, max(start + 1, end or self.position)
        raise NetworkError(problem, text=self.text, span=span, expected=expected)

    def take(self, pattern: str) -> str:
        """Read and return what ``pattern`` matches at the current position; "" for no match."""
        # Only a compiled pattern can match at a position. `re` keeps the last 512 of them.
        found = re.compile(f"(?:{pattern})?").match(self.text, self.position)
        assert found is not None
        self.position = found.end()
        return found[0]

    def peek(self) -> str:
        """Skip blanks and return the character after them, which stays unread; "" at the end."""
        self.take(r"\s+")
        return self.text[self.position : self.position + 1]

    def network(self) -> Network:
        items = self.sequence(0)
        if sign := self.take(r"[)\]]"):
            self.fail(
                f"stray '{sign}'",
                "No bracket is open here: expected a layer or the end.",
                self.position - 1,
            )
        if not items:
            self.fail("the network is empty", f"Expected a layer, such as conv8. {_layer_names()}")
        if self.mark is not None and isinstance(items[0], CodeMark):
            self.fail(
                "nothing stands before '|'",
                "Expected the encoder's layers before the code mark.",
                self.mark,
                self.mark + 1,
            )
        if isinstance(items[-1], CodeMark):
            self.fail(
                "nothing stands after '|'", "Expected the decoder's layers after the code mark."
            )
        self.require_few(0)
        return Network(items=items)

    def sequence(self, depth: int) -> tuple[Item, ...]:
        """Parse up to a closing bracket, which stays unread, or up to the end of the text."""
        items: list[Item] = []
        while self.peek() not in ("", ")", "]"):
            items.append(self.item(depth))
        return tuple(items)

    def item(self, depth: int) -> Item:
        sign, start = self.peek(), self.position
        # Brackets and repetitions recurse: without a limit, 2*2*2*… could exhaust Python's stack.
        if depth > MAX_DEPTH:
            nested = "brackets and repetitions are nested too deeply"
            self.fail(nested, f"At most {MAX_DEPTH} levels are allowed.")
        if sign in "0123456789":
            return self.repeat(depth, start)
        if sign not in "|*([":
            return self.layer(start)
        self.position += 1
        if sign == "|":
            return self.code_mark(start)
        if sign == "*":
            self.fail(
                "'*' without a count",
                "Expected COUNT*item, such as 2*conv8 or 3*(conv8 conv8).",
                start,
            )
        return self.bracket(Residual if sign == "(" else Skip, depth, start)

    def bracket(self, kind: type[Bracket], depth: int, start: int) -> Bracket:
        opening, closing = kind.signs
        items = self.sequence(depth + 1)
        found, end = self.take(r"[)\]]"), self.position - 1
        if not found:
            self.fail(
                f"'{opening}' is never closed",
                f"Expected a '{closing}' later in the text.",
                start,
                start + 1,
            )
        if found != closing:
            self.fail(
                f"stray '{found}'",
                f"Expected '{closing}' for the '{opening}' at column {start + 1}.",
                end,
            )
        # A bracket that contains only a code mark computes nothing, so it counts as empty.
        if all(isinstance(item, CodeMark) for item in items):
            self.fail("an empty bracket", f"Expected a layer before '{closing}'.", end)
        self.layers += 1
        return kind(items=items)

    def code_mark(self, start: int) -> CodeMark:
        if self.mark is not None:
            self.fail(
                "a second '|'",
                f"A network has only one code, which is already marked at column {self.mark + 1}.",
                start,
            )
        if self.repetitions:
            self.fail(
                "'|' inside a repetition",
                "A network has only one code: move the mark out of COUNT*( … ).",
                start,
            )
        self.mark = start
        return CodeMark()

    def repeat(self, depth: int, start: int) -> Repeat:
        digits = self.take("[0-9]+")
        count = self.whole_number(digits, "the count", 1, MAX_LAYERS)
        if not self.take(r"\s*\*"):
            self.fail(
                f"no '*' after the count {digits[:20]}",
                "Expected COUNT*item, such as 2*conv8; a layer begins with its name.",
            )
        if self.peek() in ("", ")", "]", "|", "*"):
            self.fail("nothing to repeat", f"Expected a layer or a bracket after {count}*.")
        before, self.layers = self.layers, 0
        # A counter and not a flag, because repetitions nest.
        self.repetitions += 1
        item = self.item(depth + 1)
        self.repetitions -= 1
        # Layers are counted by multiplication, without writing the repetition out. They are counted
        # at every level, so that the error points to the innermost repetition that is too long.
        self.layers *= count
        self.require_few(start)
        self.layers += before
        return Repeat(count=count, items=(item,))

    def require_few(self, start: int) -> None:
        if self.layers > MAX_LAYERS:
            problem = f"{self.layers} layers, with repetitions written out"
            self.fail(problem, f"At most {MAX_LAYERS} are allowed.", start)

    def layer(self, start: int) -> LayerKind:
        """Parse a layer: ``NAME [NUMBER] {LETTER [NUMBER]} [":" ACTIVATION]``."""
        name = self.take("[a-zA-Z]*")
        if name not in LayerKind.registry:
            wrong = name or self.take(REST)
            close = _hint([LayerKind.registry.closest(name)])
            self.fail(f"unknown layer '{wrong[:40]}'", _layer_names() + close, start)
        kind = LayerKind.registry[name]
        options: dict[str, Any] = self.number(kind)
        # REST without its star matches one character of the word: an option's letter.
        while letter := self.take(rf"(?!:){REST[:-1]}"):
            self.option(kind, letter, options)
        if self.take(":"):
            start = self.position
            options["activation"] = activation = self.take(REST)
            if activation not in ACTIVATIONS:
                self.fail(
                    f"unknown activation '{activation[:40]}'",
                    f"Activations: {', '.join(ACTIVATIONS)}.",
                    start,
                )
        self.layers += 1
        layer: LayerKind = kind(**options)
        return layer

    def number(self, kind: type[LayerKind]) -> dict[str, Any]:
        """Read the number after the layer's name; return the options that it sets.

        The options are empty if there is no number.
        """
        name, number, start = kind.name, kind.takes, self.position
        digits = self.take("[0-9.]*" if number and number.decimal else "[0-9]*")
        if number is None:
            if digits:
                self.fail(f"{name} takes no number", f"Expected {name} without a number.", start)
            return {}
        if not digits:
            # The layer's constructor fills in the default, and printing leaves it out again.
            if number.optional:
                return {}
            what = f"{'number of ' if number.meaning.endswith('s') else ''}{number.meaning}"
            example = f"{name}{'0.2' if number.decimal else '8'}"
            self.fail(f"{name} without its {what}", f"Expected a number here, such as {example}.")
        what = f"{name}'s {number.meaning}"
        if not number.decimal:
            return {"number": self.whole_number(digits, what, number.min)}
        if not re.fullmatch(PROBABILITY, digits):
            allowed = f"from 0 to below 1, with at most four decimals, such as {name}0.2"
            self.fail_number(digits, what, allowed)
        return {"probability": float(digits)}

    def option(self, kind: type[LayerKind], letter: str, options: dict[str, Any]) -> None:
        """Read the number of an option, whose letter was just read, into ``options``.

        Args:
            kind: Kind of the layer.
            letter: The option's letter.
            options: Options of the layer by name, to which this one is added.
        """
        start = self.position - 1
        if letter not in kind.letters:
            expected = f"Options of {kind.name}: {', '.join(kind.letters) or 'none'}; or ':' and an"
            self.fail(f"unknown option '{letter}' of {kind.name}", f"{expected} activation.", start)
        option = "padding" if letter == "v" else LETTERS[letter]
        if option in options:
            self.fail(
                f"{option} given twice",
                f"Expected each option of {kind.name} only once (v and p both set the padding).",
                start,
            )
        if letter == "v":
            options[option] = 0
            return
        digits = self.take("[0-9]*")
        if not digits:
            self.fail(
                f"option '{letter}' without its number",
                f"Expected the {option} here, such as {letter}2.",
            )
        options[option] = self.whole_number(digits, f"the {option}", int(letter != "p"))

    def whole_number(self, digits: str, what: str, least: int, most: int = MAX_NUMBER) -> int:
        """Return ``digits``, which were just read, as a number; fail if it is out of bounds.

        Args:
            digits: Text of digits.
            what: What the number is, for the error message.
            least: Smallest number that is allowed.
            most: Largest number that is allowed.
        """
        # For very many digits, int() takes quadratic time, so they count as too large at once.
        value = int(digits) if len(digits) < 20 else most + 1
        if not least <= value <= most:
            self.fail_number(digits, what, f"from {least} to {most}")
        return value

    def fail_number(self, digits: str, what: str, allowed: str) -> NoReturn:
        shown = digits[:20] + "…" * (len(digits) > 20)
        start = self.position - len(digits)
        self.fail(f"{what} is {shown}", f"Expected a number {allowed}.", start)


def _layer_names() -> str:
    return f"Layers: {', '.join(LayerKind.registry)}."


def _hint(close: Sequence[str | None]) -> str:
    return f" Did you mean {close[0]}?" if close and close[0] else ""
