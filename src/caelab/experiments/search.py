"""A search for options and networks: by the error on validation images, over ordinary runs.

    [search]   name, trials, seed
    [base]     network = "conv{width} …", and any other parameter of a run, in its table
    [space]    width = [16, 32]                              one of these
               learning_rate = {low = 1e-4, high = 1e-2}     in between, on a logarithmic scale unless linear = true

A name in ``[space]`` is an option of a run, or a placeholder in the network's text. The search
remembers its trials in a file (Optuna's, SQLite), so that it goes on where it was; which to try
next, its tree-structured Parzen estimator says (Bergstra et al. 2011; Akiba et al. 2019, arXiv
1907.10902).
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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

if TYPE_CHECKING:
    import optuna

_WHY = "failed because"
"""Attribute of a trial that failed, which one that was cut off has not."""

Choices = tuple[int | float | str | bool, ...]


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers from ``low`` to ``high``, whole ones if both are."""

    low: float
    high: float
    linear: bool = False


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is searched.

    Attributes:
        name: Of the search, and of its file.
        trials: How many in all.
        seed: Of what is tried next.
        base: Options that all runs share; the network may have placeholders.
        space: By name, what is tried.
    """

    name: str
    trials: int
    seed: int
    base: Mapping[str, Any]
    space: Mapping[str, Choices | Range]

    def config(self, values: Mapping[str, Any]) -> RunConfig:
        """Return the run of a trial.

        Raises:
            InputError: The values do not make a run.
        """
        network = str(self.base["network"])
        placed = {name: value for name, value in values.items() if f"{{{name}}}" in network}
        options = nest({name: value for name, value in values.items() if name not in placed})
        return make_config(merge(self.base, options, {"network": network.format(**placed)}))


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A finished trial: its number, its values, its run, and the error on validation images
    (``None``: it failed).
    """

    number: int
    values: Mapping[str, Any]
    run: str
    error: float | None


def read_search(file: Path, *, options: Mapping[str, Any], trials: int | None = None) -> Search:
    """Read a search's file; ``options`` go before those of ``[base]``, ``trials`` before those of
    ``[search]``.

    Raises:
        InputError: The file cannot be read, or something in it is wrong.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the search {file}: {error}") from error
    unknown = [name for name in content if name not in ("search", "base", "space")]
    if unknown or not all(isinstance(table, dict) for table in content.values()):
        raise InputError(
            f"{file}: expected the tables [search], [base] and [space], not {', '.join(unknown)}."
        )
    told, base = content.get("search", {}), merge(content.get("base", {}), options)
    if strange := [name for name in told if name not in ("name", "trials", "seed")]:
        raise InputError(
            f"{file}: [search] has no key {', '.join(strange)}; it has name, trials and seed."
        )
    count, seed = trials or told.get("trials", 20), told.get("seed", 0)
    if not isinstance(count, int) or count < 1 or not isinstance(seed, int) or seed < 0:
        raise InputError(
            f"{file}: [search] trials {count!r} and seed {seed!r}: expected whole numbers."
        )
    if not isinstance(base.get("network"), str):
        raise InputError(
            f'{file}: [base] expected network = "…", with placeholders such as {{width}}.'
        )
    space = {}
    for name, levels in content.get("space", {}).items():
        for path, each in levels.items() if name in TABLES else (("", levels),):
            dotted = f"{name}.{path}".rstrip(".")
            short = next((key for key, one in PARAMETERS.items() if one.dotted == dotted), dotted)
            space[short] = _read_levels(file, dotted, each)
    placeholders = set(re.findall(r"\{(\w+)\}", base["network"]))
    if not space or (missing := placeholders - set(space)):
        raise InputError(
            f"{file}: [space] lacks {', '.join(sorted(missing)) if space else 'anything to try'}."
        )
    if lost := [name for name in space if name not in placeholders and name not in PARAMETERS]:
        raise InputError(
            f"{file}: [space] {lost[0]}: neither a placeholder of the network's text nor a"
            f" parameter: {unknown_parameter(lost[0].split('.'))}."
        )
    search = Search(
        name=str(told.get("name", file.stem)), trials=count, seed=seed, base=base, space=space
    )
    search.config({name: _some(levels) for name, levels in space.items()})
    return search


def run_search(search: Search, *, runs: Path, file: Path) -> Iterator[Trial]:
    """Train trial after trial until there are as many as the search has; yield the earlier ones
    first.

    A trial that was cut off is started again, and its run goes on from its checkpoint. One whose
    network is impossible or whose training diverges counts as failed, and the search goes on.

    Args:
        search: What is searched.
        runs: Where run directories are put.
        file: The search's memory.

    Raises:
        InputError: Optuna is not installed, or the file is another search's.
    """
    study = _open(search, file)
    from caelab.experiments.run import run
    from caelab.training.fit import TrainingDiverged

    done = 0
    for trial in study.get_trials(deepcopy=False):
        if trial.value is not None or _WHY in trial.user_attrs:
            done += 1
            yield Trial(
                number=trial.number,
                values=trial.params,
                run=trial.user_attrs.get("run", ""),
                error=trial.value,
            )
        elif (
            not trial.state.is_finished()
        ):  # cut off: it does not count, and the next one is of the same values
            study.tell(trial.number, state=_failed())
    while done < search.trials:
        study.sampler = _sampler(search.seed, done)
        asked = study.ask()
        values = {name: _suggest(asked, name, levels) for name, levels in search.space.items()}
        error, where = None, ""
        try:
            directory = run(search.config(values), runs=runs)
            where = directory.path.name
            error = float(directory.read_result()["validation_mse"])
        except (InputError, TrainingDiverged) as problem:
            asked.set_user_attr(_WHY, str(problem))
            study.tell(asked, state=_failed())
        else:
            asked.set_user_attr("run", where)
            study.tell(asked, error)
        done += 1
        yield Trial(number=asked.number, values=values, run=where, error=error)


def _open(search: Search, file: Path) -> "optuna.Study":
    try:
        import optuna
    except ImportError as error:
        raise InputError("a search needs Optuna: pip install 'caelab[search]'.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{file}",
        study_name=search.name,
        load_if_exists=True,
    )
    told = repr((dict(search.base), dict(search.space)))
    if study.user_attrs.setdefault("search", told) != told:
        raise InputError(
            f"{file} is the memory of another search called {search.name}: choose another --out."
        )
    study.set_user_attr("search", told)
    return study


def _sampler(seed: int, done: int) -> "optuna.samplers.BaseSampler":
    """Return what chooses the next trial's values: they depend on the trials before it, however
    often it was asked.
    """
    import optuna

    entropy = np.random.SeedSequence([seed, done])
    return optuna.samplers.TPESampler(seed=int(entropy.generate_state(1)[0]))


def _failed() -> "optuna.trial.TrialState":
    import optuna

    return optuna.trial.TrialState.FAIL


def _suggest(trial: "optuna.Trial", name: str, levels: Choices | Range) -> Any:
    if not isinstance(levels, Range):
        return trial.suggest_categorical(name, levels)
    if isinstance(levels.low, int) and isinstance(levels.high, int):
        return trial.suggest_int(name, levels.low, levels.high, log=not levels.linear)
    return trial.suggest_float(name, levels.low, levels.high, log=not levels.linear)


def _read_levels(file: Path, name: str, told: Any) -> Choices | Range:
    if isinstance(told, list) and told and len(set(map(repr, told))) == len(told):
        return tuple(told)
    if isinstance(told, dict) and {"low", "high"} <= set(told) <= {"low", "high", "linear"}:
        found = Range(low=told["low"], high=told["high"], linear=bool(told.get("linear", False)))
        if all(isinstance(end, int | float) for end in (found.low, found.high)) and (
            found.low < found.high and (found.linear or found.low > 0)
        ):
            return found
    raise InputError(
        f"{file}: [space] {name}: expected a list of different values, or {{low = …, high = …}}"
        " with low < high, both above 0 unless linear = true."
    )


def _some(levels: Choices | Range) -> Any:
    return levels.low if isinstance(levels, Range) else levels[0]
