"""Text → tree: a recursive descent, with errors that point at their position."""

import difflib
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

from caelab.networks.ast import CodeMark, Item, Network, NetworkError, Repeat, Residual, Skip
from caelab.networks.layers import (  # noqa: F401 - registers the layer kinds
    convolutions,
    global_layers,
    normalization,
    resampling,
)
from caelab.networks.layers.base import ACTIVATIONS, LETTERS, LayerKind, Span
from caelab.networks.presets import PRESETS

MAX_CHARACTERS = 10_000
MAX_LAYERS = 2_000
MAX_DEPTH = 32
MAX_NUMBER = 65_536
PROBABILITY = r"0(\.[0-9]{1,4})?"


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
        NetworkError: The text is no network, or goes beyond the limits (``MAX_…`` above).
    """
    word = text.strip()
    if re.fullmatch("[A-Za-z-]+", word) and word not in PRESETS:
        _require_layer(word)
    return _Parser(PRESETS.get(word, text)).network()


def _require_layer(word: str) -> None:
    """Raise unless ``word``, which is no preset, is the name of a layer."""
    if word in LayerKind.registry:
        return
    close = difflib.get_close_matches(word.lower(), [*PRESETS, *LayerKind.registry], n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise NetworkError(
        f"no network is called '{word[:40]}'",
        text=word,
        span=(0, len(word)),
        expected=f"Expected a network's text, or a preset: {', '.join(PRESETS)}.{hint}",
    )


@dataclass(frozen=True)
class _Token:
    text: str
    start: int

    @property
    def span(self) -> Span:
        return self.start, self.start + len(self.text)


class _Parser:
    """Recursive descent; the depth of the recursion is bounded by ``MAX_DEPTH``."""

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > MAX_CHARACTERS:
            self.fail(
                f"the network's text has {len(text)} characters",
                (MAX_CHARACTERS, MAX_CHARACTERS + 1),
                f"At most {MAX_CHARACTERS} are allowed; COUNT*item shortens repetitions.",
            )
        found = re.finditer(r"[()\[\]|*]|[^\s()\[\]|*]+", text)
        self.tokens = [_Token(match[0], match.start()) for match in found]
        self.index = 0
        self.mark: _Token | None = None
        self.repetitions = 0

    def fail(self, problem: str, span: Span, expected: str) -> NoReturn:
        raise NetworkError(problem, text=self.text, span=span, expected=expected)

    def peek(self) -> _Token | None:
        return self.tokens[self.index] if self.index < len(self.tokens) else None

    def network(self) -> Network:
        items = self.sequence(opening=None, depth=0)
        end = (len(self.text), len(self.text) + 1)
        if not items:
            self.fail(
                "the network is empty", end, f"Expected a layer, such as conv8. {_layer_names()}"
            )
        for item, where, half in (
            (items[0], "before", "encoder"),
            (items[-1], "after", "decoder"),
        ):
            if isinstance(item, CodeMark):
                self.fail(
                    f"nothing stands {where} '|'",
                    item.span if where == "before" else end,
                    f"Expected the {half}'s layers {where} the code mark.",
                )
        self.check_count(items, (0, len(self.text)))
        return Network(items=items)

    def sequence(self, *, opening: _Token | None, depth: int) -> tuple[Item, ...]:
        """Parse up to the bracket that closes ``opening``, or up to the end of the text."""
        if opening and depth > MAX_DEPTH:
            self.fail_too_deep("brackets", opening)
        closing = {"(": ")", "[": "]"}[opening.text] if opening else None
        items: list[Item] = []
        while token := self.peek():
            if token.text in (")", "]"):
                if not opening or token.text != closing:
                    self.fail(
                        f"stray '{token.text}'",
                        token.span,
                        f"Expected '{closing}' for the '{opening.text}' at column"
                        f" {opening.start + 1}."
                        if opening
                        else "No bracket is open here: expected a layer or the end.",
                    )
                if all(isinstance(item, CodeMark) for item in items):
                    self.fail(
                        "an empty bracket", token.span, f"Expected a layer before '{closing}'."
                    )
                self.index += 1
                return tuple(items)
            items.append(self.item(token, depth))
        if opening:
            self.fail(
                f"'{opening.text}' is never closed",
                opening.span,
                f"Expected a '{closing}' further on.",
            )
        return tuple(items)

    def item(self, token: _Token, depth: int) -> Item:
        self.index += 1
        if token.text == "|":
            return self.code_mark(token)
        if token.text in ("(", "["):
            items = self.sequence(opening=token, depth=depth + 1)
            span = (token.start, self.tokens[self.index - 1].span[1])
            bracket = Residual if token.text == "(" else Skip
            return bracket(items=items, span=span)
        if token.text == "*":
            self.fail(
                "'*' without a count",
                token.span,
                "Expected COUNT*item, such as 2*conv8 or 3*(conv8 conv8).",
            )
        if token.text[0] in "0123456789":
            return self.repeat(token, depth)
        return _Word(token.text, self.text, token.start).layer()

    def code_mark(self, token: _Token) -> CodeMark:
        if self.mark:
            self.fail(
                "a second '|'",
                token.span,
                f"A network has one code; it is marked at column {self.mark.start + 1}.",
            )
        if self.repetitions:
            self.fail(
                "'|' inside a repetition",
                token.span,
                "A network has one code: move the mark out of COUNT*( … ).",
            )
        self.mark = token
        return CodeMark(span=token.span)

    def repeat(self, token: _Token, depth: int) -> Repeat:
        word = _Word(token.text, self.text, token.start)
        digits = word.take("[0-9]+")
        star = self.peek()
        if word.rest or star is None or star.text != "*":
            word.fail(
                f"no '*' after the count {digits[:20]}",
                "",
                "Expected COUNT*item, such as 2*conv8; a layer begins with its name.",
            )
        count = word.whole_number(digits, "a count", 1, MAX_LAYERS)
        self.index += 1
        if depth >= MAX_DEPTH:
            self.fail_too_deep("repetitions", token)
        following = self.peek()
        if following is None or following.text in (")", "]", "|", "*"):
            span = following.span if following else (len(self.text), len(self.text) + 1)
            self.fail("nothing to repeat", span, f"Expected a layer or a bracket after {count}*.")
        self.repetitions += 1
        item = self.item(following, depth + 1)
        self.repetitions -= 1
        repeat = Repeat(count=count, item=item, span=(token.start, item.span[1]))
        self.check_count((repeat,), repeat.span)
        return repeat

    def fail_too_deep(self, what: str, token: _Token) -> NoReturn:
        self.fail(
            f"{what} are nested too deep", token.span, f"At most {MAX_DEPTH} levels are allowed."
        )

    def check_count(self, items: tuple[Item, ...], span: Span) -> None:
        if (count := _count(items)) > MAX_LAYERS:
            self.fail(
                f"{count} layers, repetitions written out",
                span,
                f"At most {MAX_LAYERS} are allowed.",
            )


def _count(items: tuple[Item, ...]) -> int:
    """Count layers and brackets, with repetitions written out."""
    total = 0
    for item in items:
        if isinstance(item, Repeat):
            total += item.count * _count((item.item,))
        else:
            total += 1 + (_count(item.items) if isinstance(item, Residual | Skip) else 0)
    return total


@dataclass
class _Word:
    """One word of the text, read from its beginning to its end.

    Attributes:
        word: The word.
        text: The whole text.
        start: Position of the word in the text.
        index: Characters of the word that were read.
    """

    word: str
    text: str
    start: int
    index: int = field(default=0)

    @property
    def rest(self) -> str:
        """The characters that were not read yet."""
        return self.word[self.index :]

    def take(self, pattern: str) -> str:
        """Read what the pattern matches here, maybe nothing."""
        found = re.match(pattern, self.rest)
        taken = found[0] if found else ""
        self.index += len(taken)
        return taken

    def fail(self, problem: str, taken: str, expected: str) -> NoReturn:
        """Raise an error about ``taken``, which was just read; if empty, about what comes next.

        Args:
            problem: What is wrong.
            taken: The characters that are wrong.
            expected: What to write instead.
        """
        end = self.start + self.index
        span = (end - len(taken), max(end, end - len(taken) + 1))
        raise NetworkError(problem, text=self.text, span=span, expected=expected)

    def layer(self) -> LayerKind:
        """Read ``NAME [NUMBER] {LETTER NUMBER} [":" ACTIVATION]``."""
        name = self.take("[a-zA-Z]*")
        if name not in LayerKind.registry:
            wrong = name or self.take(".*")
            close = LayerKind.registry.closest(name)
            hint = f" Did you mean {close}?" if close else ""
            self.fail(f"unknown layer '{wrong[:40]}'", wrong, f"{_layer_names()}{hint}")
        kind = LayerKind.registry[name]
        options: dict[str, Any] = self.number(kind)
        while self.rest and not self.rest.startswith(":"):
            option, value = self.option(kind, options)
            options[option] = value
        if self.take(":"):
            options["activation"] = activation = self.take(".*")
            if activation not in ACTIVATIONS:
                self.fail(
                    f"unknown activation '{activation[:40]}'",
                    activation,
                    f"Activations: {', '.join(ACTIVATIONS)}.",
                )
        layer: LayerKind = kind(span=(self.start, self.start + len(self.word)), **options)
        return layer

    def number(self, kind: type[LayerKind]) -> dict[str, Any]:
        """Read the number after the layer's name, if any."""
        name, number = kind.name, kind.takes
        digits = self.take("[0-9.]*" if number and number.decimal else "[0-9]*")
        if number is None:
            if digits:
                self.fail(f"{name} takes no number", digits, f"Expected {name} alone.")
            return {}
        if not digits:
            if not number.optional:
                plural = number.meaning.endswith("s")
                what = f"number of {number.meaning}" if plural else number.meaning
                example = f"{name}{'0.2' if number.decimal else '8'}"
                self.fail(
                    f"{name} without its {what}", "", f"Expected a number here, such as {example}."
                )
            return {}
        if not number.decimal:
            what = f"{name}'s {number.meaning}"
            return {"number": self.whole_number(digits, what, number.min, MAX_NUMBER)}
        if not re.fullmatch(PROBABILITY, digits):
            self.fail(
                f"{name}'s {number.meaning} is {_shortened(digits)}",
                digits,
                "Expected a number from 0 to below 1, with at most four decimals, such as"
                f" {name}0.2.",
            )
        return {"probability": float(digits)}

    def option(self, kind: type[LayerKind], options: dict[str, Any]) -> tuple[str, int]:
        """Read an option letter and its number."""
        letter = self.take(".")
        if letter not in kind.letters:
            self.fail(
                f"unknown option '{letter}' of {kind.name}",
                letter,
                f"Options of {kind.name}: {', '.join(kind.letters) or 'none'}; or ':' and an"
                " activation.",
            )
        option = "padding" if letter == "v" else LETTERS[letter]
        if option in options:
            self.fail(
                f"{option} given twice",
                letter,
                f"Expected each option of {kind.name} once (v and p are both padding).",
            )
        if letter == "v":
            return option, 0
        digits = self.take("[0-9]*")
        if not digits:
            self.fail(
                f"option '{letter}' without its number",
                "",
                f"Expected the {option} here, such as {letter}2.",
            )
        least = 0 if letter == "p" else 1
        return option, self.whole_number(digits, f"the {option}", least, MAX_NUMBER)

    def whole_number(self, digits: str, what: str, least: int, most: int) -> int:
        # int() of a very long text of digits takes quadratic time.
        value = int(digits) if len(digits) < 20 else most + 1
        if not least <= value <= most:
            self.fail(
                f"{what} is {_shortened(digits)}",
                digits,
                f"Expected a number from {least} to {most}.",
            )
        return value


def _shortened(digits: str) -> str:
    return digits[:20] + ("…" if len(digits) > 20 else "")


def _layer_names() -> str:
    return f"Layers: {', '.join(LayerKind.registry)}."
