"""Text → network: a recursive descent, with errors that point at their place."""

import difflib
import re
from dataclasses import dataclass
from typing import NoReturn

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
from caelab.networks.presets import resolve

MOST_CHARACTERS = 10_000
MOST_LAYERS = 2_000
MOST_DEPTH = 32
MOST_NUMBER = 65_536
PROBABILITY = r"0(\.[0-9]{1,4})?"


def parse(text: str) -> Network:
    """Read a network's text, or the name of a preset.

    Raises:
        NetworkError: The text is not a network, or goes beyond the limits (``MOST_…`` above).
    """
    return _Parser(resolve(text)).network()


@dataclass(frozen=True)
class _Token:
    text: str
    start: int
    end: int

    @property
    def span(self) -> Span:
        return self.start, self.end


class _Parser:
    """Recursive descent; the depth of the recursion is bounded by ``MOST_DEPTH``."""

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > MOST_CHARACTERS:
            self.fail(
                f"the network's text has {len(text)} characters",
                (MOST_CHARACTERS, MOST_CHARACTERS + 1),
                f"At most {MOST_CHARACTERS} are allowed; COUNT*item shortens repetitions.",
            )
        self.tokens = [
            _Token(m[0], m.start(), m.end())
            for m in re.finditer(r"[()\[\]|*]|[^\s()\[\]|*]+", text)
        ]
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
        if isinstance(items[0], CodeMark):
            self.fail(
                "nothing stands before '|'",
                items[0].span,
                "Expected the encoder's layers before the code mark.",
            )
        if isinstance(items[-1], CodeMark):
            self.fail(
                "nothing stands after '|'",
                end,
                "Expected the decoder's layers after the code mark.",
            )
        self.check_count(items, (0, len(self.text)))
        return Network(items=items)

    def sequence(self, *, opening: _Token | None, depth: int) -> tuple[Item, ...]:
        """Items up to the bracket that closes ``opening``, which is consumed, or up to the end of
        the text.
        """
        if opening and depth > MOST_DEPTH:
            self.fail(
                "brackets are nested too deep",
                opening.span,
                f"At most {MOST_DEPTH} levels are allowed.",
            )
        closing = {"(": ")", "[": "]"}[opening.text] if opening else None
        items: list[Item] = []
        while token := self.peek():
            if token.text in (")", "]"):
                if token.text != closing:
                    what = (
                        f"Expected '{closing}' for the '{opening.text}' at column"
                        f" {opening.start + 1}."
                        if opening
                        else ("No bracket is open here: expected a layer or the end.")
                    )
                    self.fail(f"stray '{token.text}'", token.span, what)
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
            span = (token.start, self.tokens[self.index - 1].end)
            return (
                Residual(items=items, span=span)
                if token.text == "("
                else Skip(items=items, span=span)
            )
        if token.text == "*":
            self.fail(
                "'*' without a count",
                token.span,
                "Expected COUNT*item, such as 2*conv8 or 3*(conv8 conv8).",
            )
        if token.text[0] in "0123456789":
            return self.repeat(token, depth)
        return _read_layer(token, self.text)

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
        digits = re.match("[0-9]+", token.text)[0]  # type: ignore[index]
        after = token.start + len(digits)
        star = self.peek()
        if len(digits) < len(token.text) or star is None or star.text != "*":
            self.fail(
                f"no '*' after the count {digits[:20]}",
                (after, after + 1),
                "Expected COUNT*item, such as 2*conv8; a layer begins with its name.",
            )
        count = _read_number(digits, "a count", 1, MOST_LAYERS, self.text, token.start)
        self.index += 1
        if depth >= MOST_DEPTH:
            self.fail(
                "repetitions are nested too deep",
                token.span,
                f"At most {MOST_DEPTH} levels are allowed.",
            )
        following = self.peek()
        if following is None or following.text in (")", "]", "|", "*"):
            place = following.span if following else (len(self.text), len(self.text) + 1)
            self.fail("nothing to repeat", place, f"Expected a layer or a bracket after {count}*.")
        self.repetitions += 1
        item = self.item(following, depth + 1)
        self.repetitions -= 1
        repeat = Repeat(count=count, item=item, span=(token.start, item.span[1]))
        self.check_count((repeat,), repeat.span)
        return repeat

    def check_count(self, items: tuple[Item, ...], span: Span) -> None:
        if (count := _count(items)) > MOST_LAYERS:
            self.fail(
                f"{count} layers, repetitions written out",
                span,
                f"At most {MOST_LAYERS} are allowed.",
            )


def _count(items: tuple[Item, ...]) -> int:
    """Layers and brackets, with repetitions written out."""
    total = 0
    for item in items:
        if isinstance(item, Repeat):
            total += item.count * _count((item.item,))
        elif isinstance(item, Residual | Skip):
            total += 1 + _count(item.items)
        else:
            total += 1
    return total


def _read_layer(token: _Token, text: str) -> Layer:
    """``NAME [NUMBER] {LETTER NUMBER} [":" ACTIVATION]``."""

    def fail(problem: str, start: int, end: int, expected: str) -> NoReturn:
        span = (token.start + start, token.start + max(end, start + 1))
        raise NetworkError(problem, text=text, span=span, expected=expected)

    word = token.text
    name = re.match("[a-zA-Z]*", word)[0]  # type: ignore[index]
    if name not in KINDS:
        close = difflib.get_close_matches(name.lower(), KINDS, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        fail(
            f"unknown layer '{(name or word)[:40]}'",
            0,
            len(name or word),
            f"{_layer_names()}{hint}",
        )
    kind = KINDS[name]
    at = len(name)
    fields: dict[str, int] = {}
    probability = 0.0

    digits = re.match("[0-9.]*" if kind.decimal else "[0-9]*", word[at:])[0]  # type: ignore[index]
    if digits and kind.number is None:
        fail(f"{name} takes no number", at, at + len(digits), f"Expected {name} alone.")
    if digits and kind.decimal:
        if not re.fullmatch(PROBABILITY, digits):
            fail(
                f"{name}'s {kind.number} is {digits[:20]}{'…' if len(digits) > 20 else ''}",
                at,
                at + len(digits),
                "Expected a number from 0 to below 1, with at most four decimals, such as"
                f" {name}0.2.",
            )
        probability = float(digits)
    elif digits:
        fields["number"] = _read_number(
            digits, f"{name}'s {kind.number}", kind.least, MOST_NUMBER, text, token.start + at
        )
    elif kind.default is not None:
        fields["number"] = kind.default
    elif kind.number and not kind.optional:
        what = f"number of {kind.number}" if kind.number.endswith("s") else kind.number
        example = f"{name}{'0.2' if kind.decimal else '8'}"
        fail(
            f"{name} without its {what}", at, at + 1, f"Expected a number here, such as {example}."
        )
    at += len(digits)

    while at < len(word) and word[at] != ":":
        letter = word[at]
        allowed = ", ".join(kind.letters) or "none"
        if letter not in kind.letters:
            fail(
                f"unknown option '{letter}' of {name}",
                at,
                at + 1,
                f"Options of {name}: {allowed}; or ':' and an activation.",
            )
        option = "padding" if letter == "v" else LETTERS[letter]
        if option in fields:
            fail(
                f"{option} given twice",
                at,
                at + 1,
                f"Expected each option of {name} once (v and p are both padding).",
            )
        at += 1
        digits = re.match("[0-9]*", word[at:])[0]  # type: ignore[index]
        if letter == "v":
            fields[option] = 0
            continue
        if not digits:
            fail(
                f"option '{letter}' without its number",
                at,
                at + 1,
                f"Expected the {option} here, such as {letter}2.",
            )
        fields[option] = _read_number(
            digits, f"the {option}", 0 if letter == "p" else 1, MOST_NUMBER, text, token.start + at
        )
        at += len(digits)

    activation = None
    if at < len(word):
        activation = word[at + 1 :]
        if activation not in ACTIVATIONS:
            fail(
                f"unknown activation '{activation[:40]}'",
                at + 1,
                len(word),
                f"Activations: {', '.join(ACTIVATIONS)}.",
            )
    return Layer(
        name=name, probability=probability, activation=activation, span=token.span, **fields
    )


def _read_number(digits: str, what: str, least: int, most: int, text: str, start: int) -> int:
    # int() of a very long text of digits takes quadratic time.
    value = int(digits) if len(digits) < 20 else most + 1
    if not least <= value <= most:
        raise NetworkError(
            f"{what} is {digits[:20]}{'…' if len(digits) > 20 else ''}",
            text=text,
            span=(start, start + len(digits)),
            expected=f"Expected a number from {least} to {most}.",
        )
    return value


def _layer_names() -> str:
    return f"Layers: {', '.join(KINDS)}."
