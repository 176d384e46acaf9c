"""A study: a family of networks around a base, trained over seeds. From a TOML file to a plan.

    [study]     name, question, seeds
    [base]      network = …, and any other parameter of a run, in its table as in a recipe
    [factors]   NAME = [level, …]            a transformation of the base's network, or a parameter
                optimizer.kind = [level, …]  a parameter in a table
    [factors.NAME]   "level" = "network"     a factor whose levels are networks
    [networks]  "label" = "network"          networks beside the factors

A network is a text, or a table of parameters that differ from the base's, the network among them.

Every network is described before any is trained, and everything that is wrong is said at once.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caelab.errors import InputError
from caelab.experiments.config import (
    PARAMETERS,
    TABLES,
    RunConfig,
    make_config,
    merge,
    nest,
    unknown_parameter,
)
from caelab.experiments.factors import TRANSFORMATIONS, Level, transform
from caelab.networks.ast import spell_out
from caelab.networks.description import Description

BASE = "base"
"""The label of the base network."""

FIXED = ("network", "data", "size", "split", "split_seed", "val_size", "seed", "device")
"""Parameters that are no factors, by short name: networks have tables of their own, and runs on
other images cannot be compared."""

SAME_THROUGHOUT = (
    "this is the same for a whole study; networks go into [networks] or [factors.NAME], seeds into"
    " [study]."
)

FILE_TABLES: Mapping[str, tuple[str, ...] | None] = {
    "study": ("name", "question", "seeds"),
    "base": None,
    "factors": None,
    "networks": None,
}
"""The tables of a study's file, and their keys where these are fixed."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One network of a study, with all that its runs share.

    Attributes:
        label: Name: ``"base"``, factor and level (the level alone if it is several words), or the
            name in ``[networks]``.
        factor: The factor's name; empty for the base and for the explicit networks.
        level: The factor's level, as text; empty likewise.
        config: Of its runs, but for the seed.
        description: Of its network, for images of the run's size.
    """

    label: str
    factor: str
    level: str
    config: RunConfig
    description: Description


@dataclass(frozen=True, kw_only=True)
class Study:
    """A plan: the variants, the base first, and the seeds."""

    name: str
    question: str
    seeds: tuple[int, ...]
    variants: tuple[Variant, ...]

    @property
    def base(self) -> RunConfig:
        """The base's configuration."""
        return self.variants[0].config

    def runs(self) -> Iterator[tuple[Variant, RunConfig]]:
        """Yield every run in the order in which it should be trained.

        Seed by seed, so that a study that is cut short has answers about all architectures rather
        than certainty about a few. Within a seed the base comes first, as everything is compared
        with it, and then what costs little, so that most of the answers are there early.
        """
        costs = [
            variant.description.multiply_accumulates * variant.config.epochs
            for variant in self.variants
        ]
        order = sorted(range(1, len(costs)), key=costs.__getitem__)
        for seed in self.seeds:
            for index in (0, *order):
                variant = self.variants[index]
                yield variant, variant.config.model_copy(update={"seed": seed})


def read_study(
    file: Path, *, options: Mapping[str, Any] | None = None, seeds: str | None = None
) -> Study:
    """Read a study's file and describe all its networks.

    Args:
        file: The TOML file.
        options: Options of a run that go before those of ``[base]``.
        seeds: Go before those of ``[study]``: a count, or seeds parted by commas.

    Raises:
        InputError: The file cannot be read or something in it is wrong; everything that is wrong is
            named with its place in the file, or its label.
    """
    try:
        text = file.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except (OSError, ValueError) as error:  # the parser's message holds line and column
        raise InputError(f"cannot read the study {file}: {error}") from error
    reader = _Reader(file, text, content)
    study = reader.study(options or {}, seeds)
    if reader.problems:
        count = len(reader.problems)
        many = "a problem" if count == 1 else f"{count} problems"
        raise InputError("\n\n".join([f"{file}: {many}; nothing was trained.", *reader.problems]))
    assert study is not None
    return study


def read_seeds(value: object) -> tuple[int, ...]:
    """Return the seeds: ``3`` or ``"3"`` are 0, 1, 2; ``[0, 4]`` or ``"0,4"`` (and ``"4,"``) are
    those.

    Raises:
        InputError: They are not different whole numbers from 0 on, or there are none.
    """
    given = value
    listed: Sequence[object]
    if isinstance(value, str):
        words = [word.strip() for word in value.split(",")]
        numbers = [int(word) if word.isdecimal() else word for word in words]
        value = numbers[0] if len(words) == 1 else numbers[:-1] if words[-1] == "" else numbers
    if isinstance(value, int) and not isinstance(value, bool):
        listed = range(value)
    else:
        listed = value if isinstance(value, list) else [value]
    seeds = [
        seed
        for seed in listed
        if isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0
    ]
    if not seeds or len(seeds) < len(listed) or len(set(seeds)) < len(seeds):
        raise InputError(
            f"seeds {given!r}: expected different whole numbers from 0 on, or how many of them."
        )
    return tuple(seeds)


class _Reader:
    """One reading of a file, gathering problems."""

    def __init__(self, file: Path, text: str, content: dict[str, Any]) -> None:
        self.file, self.lines, self.content = file, text.splitlines(), content
        self.problems: list[str] = []
        self.variants: list[Variant] = []
        self.twins: dict[str, str] = {}

    def study(self, options: Mapping[str, Any], seeds: str | None) -> Study | None:
        self.check_keys()
        told = self.table("study")
        name = told.get("name", self.file.stem)
        question = told.get("question", "")
        if not isinstance(name, str) or not re.fullmatch(r"[\w-]{1,64}", name):
            self.problems.append(
                f"{self.place('study', 'name')}{name!r}: expected letters, digits, - and _."
            )
        if not isinstance(question, str):
            self.problems.append(f"{self.place('study', 'question')}expected a text.")
        chosen: tuple[int, ...] = ()
        try:
            chosen = read_seeds(told.get("seeds", [0]) if seeds is None else seeds)
        except InputError as error:
            self.problems.append(
                f"{self.place('study', 'seeds') if seeds is None else '--'}{error}"
            )
        base = {
            name: value
            for name, value in self.table("base").items()
            if name in RunConfig.model_fields and name != "seed"
        }
        given = merge(base, options)
        if not self.add(BASE, "", "", given):
            return None
        network = self.variants[0].config.network
        for path, levels in self.factors():
            factor = _short_name(path)
            if isinstance(levels, dict):
                for level, network_told in levels.items():
                    label = level if " " in level else f"{_words(factor)} {level}"
                    self.add_told(label, factor, level, given, network_told)
                continue
            place = self.place("factors", path)
            if not isinstance(levels, list) or not levels:
                self.problems.append(f"{place}expected a list of levels, or a table of networks.")
                continue
            if path not in TRANSFORMATIONS and (
                factor in FIXED or factor not in PARAMETERS or PARAMETERS[factor].dotted != path
            ):
                self.problems.append(f"{place}{_say_unknown_factor(path, factor)}")
                continue
            for level in levels:
                label = f"{_words(factor)} {_level_text(level)}"
                changed = nest({factor: level})
                if path in TRANSFORMATIONS:
                    try:
                        changed = {"network": transform(network, path, level)}
                    except InputError as error:
                        self.problems.append(f"{label}: {error}")
                        continue
                self.add(label, factor, _level_text(level), merge(given, changed))
        for label, network_told in self.table("networks").items():
            self.add_told(label, "", "", given, network_told)
        return Study(name=name, question=question, seeds=chosen, variants=tuple(self.variants))

    def add(self, label: str, factor: str, level: str, options: Mapping[str, Any]) -> bool:
        """Take up a variant; whether it could be."""
        from caelab.experiments.setup import describe_run

        try:
            config = make_config(options)
            description = describe_run(config)
        except InputError as error:
            self.problems.append(f"{label}: {error}")
            return False
        twin = str(spell_out(description.network)) + config.model_dump_json(exclude={"network"})
        if label in {variant.label for variant in self.variants}:
            self.problems.append(f"{label}: this label is used twice.")
        elif twin in self.twins:
            self.problems.append(
                f"{label}: the same run as {self.twins[twin]}; leave one of them out."
            )
        self.twins.setdefault(twin, label)
        self.variants.append(
            Variant(label=label, factor=factor, level=level, config=config, description=description)
        )
        return True

    def add_told(
        self, label: str, factor: str, level: str, given: Mapping[str, Any], told: Any
    ) -> None:
        """Take up a network that the file tells: a text, or a table of options."""
        options = told if isinstance(told, dict) else {"network": told}
        fixed = [
            PARAMETERS[name].dotted
            for name in FIXED
            if name != "network" and _holds(options, PARAMETERS[name].path)
        ]
        if fixed:
            self.problems.append(f"{label}: {', '.join(fixed)}: {SAME_THROUGHOUT}")
        else:
            self.add(label, factor, level, merge(given, options))

    def check_keys(self) -> None:
        for table, content in self.content.items():
            if table not in FILE_TABLES:
                self.problems.append(
                    f"{self.place('', table)}{_unknown(table, FILE_TABLES, 'a study has no table')}"
                )
            elif not isinstance(content, dict):
                self.problems.append(
                    f"{self.place('', table)}{table} should be a table: [{table}]."
                )
            elif (keys := FILE_TABLES[table]) is not None:
                self.problems += [
                    f"{self.place(table, key)}{_unknown(key, keys, f'[{table}] has no key')}"
                    for key in content
                    if key not in keys
                ]
        for key in self.table("base"):
            if key == "seed":
                self.problems.append(f"{self.place('base', key)}seeds go into [study].")
            elif key not in RunConfig.model_fields:
                self.problems.append(f"{self.place('base', key)}{unknown_parameter([key])}")
        if "network" not in self.table("base"):
            self.problems.append(
                "[base]: expected network = …, the network that all others are compared with."
            )

    def factors(self) -> Iterator[tuple[str, Any]]:
        """Yield name and levels of each factor; parameters in tables by their dotted names."""
        for name, levels in self.table("factors").items():
            if name in TABLES and isinstance(levels, dict):
                yield from ((f"{name}.{inner}", each) for inner, each in levels.items())
            else:
                yield name, levels

    def table(self, name: str) -> dict[str, Any]:
        content = self.content.get(name, {})
        return content if isinstance(content, dict) else {}

    def place(self, table: str, key: str) -> str:
        """``"line 7, [study] seeds: "``, as far as it can be told."""
        where = f"[{table}] {key}: " if table else ""
        current = ""
        for number, line in enumerate(self.lines, 1):
            if header := re.match(r"\s*\[+\s*([^\]]*?)\s*\]", line):
                current = re.sub(r"[\"']", "", header[1])
                if current == f"{table}.{key}".removeprefix("."):
                    return f"line {number}, {where}"
            elif current == table and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line):
                return f"line {number}, {where}"
        return where


def _short_name(path: str) -> str:
    """Return the short name of the parameter with that dotted name, else ``path`` itself."""
    return next((name for name, each in PARAMETERS.items() if each.dotted == path), path)


def _holds(options: Mapping[str, Any], path: Sequence[str]) -> bool:
    first, *rest = path
    inner = options.get(first)
    return first in options and (not rest or (isinstance(inner, Mapping) and _holds(inner, rest)))


def _say_unknown_factor(path: str, factor: str) -> str:
    if factor in FIXED:
        return SAME_THROUGHOUT
    if difflib.get_close_matches(path, TRANSFORMATIONS, n=1):
        return _unknown(path, TRANSFORMATIONS, "there is no factor")
    problem = unknown_parameter(path.split("."))
    problem += "" if problem.endswith("?") else "."
    return f"{problem} Factors of networks are {', '.join(TRANSFORMATIONS)}."


def _unknown(key: str, known: Sequence[str] | Mapping[str, Any], problem: str) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"{problem} '{key}'.{hint} There are: {', '.join(known)}."


def _words(name: str) -> str:
    return name.replace("_", " ")


def _level_text(level: Level) -> str:
    if isinstance(level, bool):
        return str(level).lower()
    return f"{level:g}" if isinstance(level, float) else str(level)
