"""Read a study from a TOML file: variants of a base network, each trained with several seeds.

    [study]     name, question, seeds; cross = [NAME, …], factors whose levels are combined
    [base]      network = …, and any other parameter of a run, in its table as in a recipe
    [factors]   NAME = [level, …]            a transformation of the base's network, or a parameter
                optimizer.kind = [level, …]  a parameter in a table
    [factors.NAME]   "level" = "network"     a factor whose levels are networks
    [networks]  "label" = "network"          networks without a factor

A network is a text, or a table of the parameters that differ from the base's, such as ``network``.
Each level of a factor makes one variant, and so does each combination of levels of crossed factors.
All networks are described before any is trained, and all problems are reported at once.
"""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caelab.errors import InputError, printable, suggestion
from caelab.experiments.config import (
    PATHS,
    SHORT_NAMES,
    ConfigError,
    RunConfig,
    make_config,
    merge,
    nest,
    short_names,
    states,
    unknown_parameter,
)
from caelab.experiments.factors import TRANSFORMATIONS, Level, transform
from caelab.experiments.recipes import find_recipe
from caelab.files import line_of, read_toml
from caelab.networks.ast import spell_out
from caelab.networks.description import Description
from caelab.networks.parser import parse

BASE = "base"
"""Label of the base network."""

FIXED = (
    "data",
    "size",
    "channels",
    "split",
    "split_seed",
    "val_size",
    "test_size",
    "seed",
    "device",
)
"""Short names of parameters that a level or a network of a study cannot change, so that all runs
can be compared."""

SAME_THROUGHOUT = (
    "this must be the same in a whole study. Networks go into [networks] or [factors.NAME], and"
    " seeds go into [study]."
)

TABLES = ("study", "base", "factors", "networks")
"""Tables of a study's file."""

MAX_SEEDS = 10_000
"""Largest number of seeds of a study."""

STUDY_KEYS = ("name", "question", "seeds", "cross")
"""Keys of the table ``[study]``."""

CROSS = " × "
"""Separator between the names of combined factors, and between combined levels."""

MAX_CROSSED_RUNS = 1000
"""Largest number of runs of a study with crossed factors; ``yes`` allows more."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One network of a study, with everything that its runs share.

    Attributes:
        label: ``"base"``, the factor and its level, or the name in ``[networks]``.
        factor: Name of the factor; empty for the base and for networks without a factor.
        level: Level of the factor as text; empty if there is no factor.
        config: Configuration of the variant's runs, except the seed.
        description: Description of the network for images of the run's size.
    """

    label: str
    factor: str
    level: str
    config: RunConfig
    description: Description


@dataclass(frozen=True, kw_only=True)
class _Level:
    """One level of a factor, or one combination of levels of several crossed factors.

    Attributes:
        label: Label of the variant that has this level.
        factor: Name of the factor, or names of the factors.
        text: Level as text.
        changes: Nested tables of the parameters that differ from the base's.
        transforms: Pairs of a transformation's name and its level, applied to the network in order.
    """

    label: str
    factor: str
    text: str
    changes: Mapping[str, Any]
    transforms: tuple[tuple[str, Level], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Study:
    """A plan of runs: every variant is trained with every seed.

    Attributes:
        name: Name of the study.
        question: Question that the study answers.
        seeds: Seeds of every variant.
        variants: All variants, the base first.
        base_seeds: Further seeds of the base alone, because all variants are compared with it.
    """

    name: str
    question: str
    seeds: tuple[int, ...]
    variants: tuple[Variant, ...]
    base_seeds: tuple[int, ...] = ()

    @property
    def base(self) -> RunConfig:
        """Configuration of the base."""
        return self.variants[0].config

    def runs(self) -> Iterator[tuple[Variant, RunConfig]]:
        """Yield variant and configuration of each run: seed by seed, in the order of the file."""
        base, *_ = self.variants
        # Sorted, because the results are written in this order, in whatever order runs are trained.
        for seed in sorted({*self.seeds, *self.base_seeds}):
            for variant in self.variants if seed in self.seeds else [base]:
                yield variant, variant.config.model_copy(update={"seed": seed})


def read_study(
    file: Path | Mapping[str, Any],
    *,
    options: Mapping[str, Any] | None = None,
    seeds: str | int | list[int] | None = None,
    yes: bool = False,
) -> Study:
    """Read a study's file and describe all its networks.

    Args:
        file: TOML file, the name of a recipe, or the tables that such a file would hold.
        options: Nested tables of parameters that take precedence over those of ``[base]``.
        seeds: Replaces the seeds of ``[study]``: a number of seeds, or the seeds themselves as a
            list or as a text with commas.
        yes: Allow crossed factors to make more than ``MAX_CROSSED_RUNS`` runs.

    Raises:
        InputError: The file cannot be read or something in it is wrong. The message names every
            problem with its line in the file or the label of its network.
    """
    reader = _Reader(file, yes=yes)
    stem = file.stem if isinstance(file, Path) else "study"
    chosen = None if seeds is None else read_seeds(seeds)
    try:
        study = reader.study(stem, options or {}, chosen)
    except RecursionError as error:
        raise InputError("the values of the study are nested too deeply.") from error
    if reader.problems or study is None:
        count = len(reader.problems)
        many = "a mistake" if count == 1 else f"{count} mistakes"
        named = file if isinstance(file, Path) else "the study"
        message = f"{named} has {many}, so no network was trained:"
        raise InputError("\n\n".join([message, *reader.problems]))
    return study


def read_seeds(value: object) -> tuple[int, ...]:
    """Return the seeds that a text, a number or a list stands for.

    One number N means N seeds, from 0 to N - 1. Several numbers, or one and a comma, are the seeds.

    >>> read_seeds("3"), read_seeds("0,4"), read_seeds("4,"), read_seeds([7])
    ((0, 1, 2), (0, 4), (4,), (7,))

    Raises:
        InputError: The seeds are not different whole numbers from 0 on, or there are none.
    """
    listed: Any = value
    if isinstance(value, str) and re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*(,\s*)?", value):
        numbers = [int(word) for word in value.split(",") if word.strip()]
        listed = numbers if "," in value else numbers[0]
    if type(listed) is int:
        listed = list(range(min(listed, MAX_SEEDS + 1)))
    if (
        not isinstance(listed, list)
        or not listed
        or any(type(seed) is not int or seed < 0 for seed in listed)
        or len(set(listed)) < len(listed)
    ):
        raise InputError(
            f"`seeds` {value!r}: expected different whole numbers from 0 on, or one number: how"
            " many seeds."
        )
    if len(listed) > MAX_SEEDS:
        raise InputError(f"`seeds`: a study has {MAX_SEEDS:,} seeds at most.")
    return tuple(listed)


class _Reader:
    """Reads the file of a study, or the tables of one, and collects all problems."""

    def __init__(self, file: Path | Mapping[str, Any], *, yes: bool) -> None:
        file = find_recipe(file, "study") if isinstance(file, Path) else file
        self.content = read_toml(file, "study") if isinstance(file, Path) else file
        self.text = file.read_text(encoding="utf-8") if isinstance(file, Path) else ""
        self.yes = yes
        self.problems: list[str] = []
        self.levels: dict[str, list[_Level]] = {}
        self.variants: list[Variant] = []
        self.options: Mapping[str, Any] = {}
        self.labels: dict[str, str] = {}

    def study(
        self, stem: str, options: Mapping[str, Any], seeds: tuple[int, ...] | None
    ) -> Study | None:
        """Read the study and return it, or ``None`` if its base is wrong.

        Args:
            stem: Name of the study if the file states none.
            options: Nested tables of parameters that take precedence over ``[base]``.
            seeds: Seeds that replace those of the file; ``None`` keeps them.
        """
        for name, table in self.content.items():
            if name not in TABLES:
                self.report("", name, _unknown(name, TABLES, "a study has no table"))
            elif not isinstance(table, dict):
                self.report("", name, f"{name} should be a table: [{name}].")
        tables = (self.content.get(name, {}) for name in TABLES)
        # A value that is not a table counts as empty, so that other problems are found, too.
        header, stated, factors, networks = (
            table if isinstance(table, dict) else {} for table in tables
        )
        for key in header.keys() - set(STUDY_KEYS):
            self.report("study", key, _unknown(key, STUDY_KEYS, "[study] has no key"))
        name, question = header.get("name", stem), header.get("question", "")
        if not re.fullmatch(r"[\w-]{1,64}", str(name)):
            self.report("study", "name", f"{name!r}: expected letters, digits, - and _.")
        if not isinstance(question, str):
            self.report("study", "question", "expected a text.")
        numbers = seeds or ()
        try:
            numbers = numbers or read_seeds(header.get("seeds", [0]))
        except InputError as error:
            self.report("study", "seeds", str(error))
        base = {}
        for key, value in stated.items():
            if key == "seed":
                self.report("base", key, "seeds go into [study].")
            elif key not in RunConfig.model_fields:
                self.report("base", key, unknown_parameter([key]))
            else:
                base[key] = value
        if "network" not in base:
            self.problems.append(
                "[base]: expected network = …, the network that all others are compared with."
            )
        # Kept for messages: options are not in the file, so their problems have no line.
        self.options = options
        base = merge(base, options)
        # All other variants change the base, so without a base there is nothing to check.
        if not self.add(BASE, "", "", base):
            return None
        for path, factor, levels in short_names(factors):
            self.read_factor(path, factor, levels)
            for level in self.levels.get(path, []):
                self.add_level(level, base)
        self.add_crossed(header.get("cross", []), len(networks), len(numbers or (0,)), base)
        for label, network in networks.items():
            self.add_network(label, "", "", base, network)
        return Study(
            name=str(name), question=question, seeds=numbers, variants=tuple(self.variants)
        )

    def read_factor(self, path: str, factor: str, levels: object) -> None:
        """Read the levels of a factor into ``self.levels``.

        Args:
            path: Name of the factor, or path of the parameter, such as ``optimizer.kind``.
            factor: Short name of the factor, such as ``optimizer``.
            levels: Value of the factor in the file: a list of levels, or networks by level.
        """
        words = factor.replace("_", " ")
        if isinstance(levels, dict):
            self.levels[path] = [
                _Level(
                    label=level if " " in level else f"{words} {level}",
                    factor=factor,
                    text=level,
                    changes=network if isinstance(network, dict) else {"network": network},
                )
                for level, network in levels.items()
            ]
        elif not isinstance(levels, list) or not levels:
            self.report("factors", path, "expected a list of levels, or a table of networks.")
        elif factor in (*FIXED, "network") and path not in TRANSFORMATIONS:
            self.report("factors", path, SAME_THROUGHOUT)
        elif path not in (*TRANSFORMATIONS, *SHORT_NAMES):
            problem = unknown_parameter(path.split("."), *TRANSFORMATIONS)
            listed = ", ".join(TRANSFORMATIONS)
            self.report("factors", path, f"{problem}. Factors that change a network: {listed}.")
        else:
            transforms = path in TRANSFORMATIONS
            self.levels[path] = [
                _Level(
                    label=f"{words} {_level_text(level)}",
                    factor=factor,
                    text=_level_text(level),
                    changes={} if transforms else nest({factor: level}),
                    transforms=((path, level),) if transforms else (),
                )
                for level in levels
            ]

    def add_level(self, level: _Level, base: Mapping[str, Any]) -> None:
        """Add the variant of a level to the study.

        Args:
            level: The level, or a combination of levels.
            base: Nested tables of the base's parameters.
        """
        changes = dict(level.changes)
        if level.transforms:
            try:
                stated = changes.get("network", self.variants[0].config.network)
                network = parse(stated) if isinstance(stated, str) else stated
                for name, value in level.transforms:
                    network = transform(network, name, value)
            except InputError as error:
                self.problems.append(f"{level.label}: {error}")
                return
            changes["network"] = network
        self.add_network(level.label, level.factor, level.text, base, changes)

    def add_crossed(
        self, names: object, networks: int, seeds: int, base: Mapping[str, Any]
    ) -> None:
        """Add a variant for each combination of levels of two or more crossed factors.

        Args:
            names: Value of ``cross`` in the file, which should be a list of factors.
            networks: Number of networks without a factor.
            seeds: Number of seeds.
            base: Nested tables of the base's parameters.
        """
        # A problem of a level would be reported again for each of its combinations.
        if names == [] or self.problems:
            return
        if not isinstance(names, list) or len({*map(str, names)}) < len(names) or len(names) == 1:
            self.report("study", "cross", "expected the names of two or more factors.")
            return
        if missing := [name for name in names if name not in self.levels]:
            problem = f"there is no factor {missing[0]} in [factors]."
            self.report("study", "cross", f"{problem} There are: {', '.join(self.levels)}.")
            return
        # In the order of [factors], in whatever order `cross` names them.
        crossed = [levels for path, levels in self.levels.items() if path in names]
        combined = math.prod(len(levels) + 1 for levels in crossed)
        alone = sum(map(len, self.levels.values())) - sum(map(len, crossed))
        runs = (combined + alone + networks) * seeds
        if runs > MAX_CROSSED_RUNS and not self.yes:
            product = CROSS.join(str(len(levels) + 1) for levels in crossed)
            self.report(
                "study",
                "cross",
                f"with {product} combinations (the base's levels included), the study has {runs:,}"
                f" runs, more than {MAX_CROSSED_RUNS:,}. `yes` allows them.",
            )
            return
        for count in range(2, len(crossed) + 1):
            for chosen in itertools.combinations(crossed, count):
                for levels in itertools.product(*chosen):
                    self.add_combination(levels, base)

    def add_combination(self, levels: Sequence[_Level], base: Mapping[str, Any]) -> None:
        """Add the variant that has several levels at once.

        Args:
            levels: One level of each of several factors.
            base: Nested tables of the base's parameters.
        """
        label = CROSS.join(level.label for level in levels)
        changed = [name for each in levels for _, name, _ in short_names(each.changes)]
        if twice := [name for name in changed if changed.count(name) > 1]:
            self.problems.append(
                f"{label}: both levels state {PATHS.get(twice[0], twice[0])}, so they cannot be"
                " combined."
            )
            return
        combination = _Level(
            label=label,
            factor=CROSS.join(level.factor for level in levels),
            text=CROSS.join(level.text for level in levels),
            changes=merge({}, *(level.changes for level in levels)),
            transforms=tuple(each for level in levels for each in level.transforms),
        )
        self.add_level(combination, base)

    def add_network(
        self, label: str, factor: str, level: str, base: Mapping[str, Any], network: Any
    ) -> None:
        """Add the variant of a network that the file states.

        Args:
            label: Label of the variant.
            factor: Name of the factor; empty for a network without a factor.
            level: Level of the factor; empty for a network without a factor.
            base: Nested tables of the base's parameters.
            network: Network text, or a table of the parameters that differ from the base's.
        """
        options = network if isinstance(network, dict) else {"network": network}
        named = {name: path for path, name, _ in short_names(options)}
        if fixed := [named[name] for name in FIXED if name in named]:
            self.problems.append(f"{label}: {', '.join(fixed)}: {SAME_THROUGHOUT}")
        else:
            self.add(label, factor, level, merge(base, options))

    def add(self, label: str, factor: str, level: str, options: Mapping[str, Any]) -> bool:
        """Add a variant if its configuration is valid; return whether it is valid.

        Args:
            label: Label of the variant.
            factor: Name of the factor that the variant changes; empty without a factor.
            level: Level of the factor; empty without a factor.
            options: Nested tables of all parameters of the variant.
        """
        from caelab.experiments.setup import describe_run

        try:
            config = make_config(options)
            description = describe_run(config)
        except InputError as error:
            self.refuse(label, error)
            return False
        if label != printable(label):
            self.problems.append(f"{label}: a label must hold only characters that can be printed.")
        # A run with two labels would be trained once and counted twice. The network is spelled out,
        # because two texts can mean the same network.
        run = str(spell_out(description.network)) + config.model_dump_json(exclude={"network"})
        if label in self.labels.values():
            self.problems.append(f"{label}: this label is used twice.")
        elif run in self.labels:
            self.problems.append(
                f"{label}: the same run as {self.labels[run]}; leave one of them out."
            )
        self.labels.setdefault(run, label)
        self.variants.append(
            Variant(label=label, factor=factor, level=level, config=config, description=description)
        )
        return True

    def refuse(self, label: str, error: InputError) -> None:
        """Add the problems of a variant; a problem of the base gets its line in the file."""
        if label != BASE or not isinstance(error, ConfigError):
            self.problems.append(f"{label}: {error}")
            return
        for path, problem in error.problems.items():
            if states(self.options, path):
                self.problems.append(problem)
            else:
                # Without backticks, because the command line would replace them by an option.
                self.report(BASE, ".".join(path), problem.replace("`", ""))

    def report(self, table: str, key: str, problem: str) -> None:
        """Add a problem, with the line of its key in the file if the key is found there.

        Args:
            table: Name of the table; empty for the top of the file.
            key: Name of the key.
            problem: Sentence that says what is wrong with the value.
        """
        where = f"[{table}] {key}: " if table else ""
        path = [*([table] if table else []), *key.split(".")]
        if line := line_of(self.text, path):
            where = f"line {line}, {where}"
        self.problems.append(f"{where}{problem}")


def _unknown(key: str, known: Iterable[str], problem: str) -> str:
    return f"{problem} '{key}'.{suggestion(key, known)} There are: {', '.join(known)}."


def _level_text(level: Level) -> str:
    if isinstance(level, bool):
        return str(level).lower()
    return f"{level:g}" if isinstance(level, float) else str(level)
