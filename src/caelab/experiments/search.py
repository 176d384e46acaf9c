"""Search for the parameters and the network with the smallest validation error.

    [search]   name, trials, seed, pruner
    [base]     network = "conv{width} …", and any other parameter of a run, in its table
    [space]    width = [16, 32]                                        one of these values
               optimizer.learning_rate = {low = 1e-4, high = 1e-2}     a value in between

A name in ``[space]`` is a parameter of a run, or a placeholder in the network's text. Values in
between are drawn on a logarithmic scale, unless the table has ``linear = true``.

Each trial is an ordinary run. Optuna stores the trials in a database, so that an interrupted search
can resume, and chooses the values of the next trial with its tree-structured Parzen estimator
(Bergstra et al. 2011; Akiba et al. 2019, arXiv 1907.10902).

After each epoch, a pruner may stop a trial because of its validation error. ``median`` stops a
trial whose error is larger than the median of the other trials. ``halving`` continues only the best
third of the trials after 1, 3, 9, … epochs (asynchronous successive halving; Li et al. 2020, arXiv
1810.05934).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, assert_never

import numpy as np
from pydantic import AfterValidator, Field, ValidationError, model_validator

from caelab.errors import InputError, missing_extra
from caelab.experiments.config import (
    PARAMETERS,
    RunConfig,
    make_config,
    merge,
    nest,
    short_names,
    unknown_parameter,
)
from caelab.experiments.recipes import find_recipe
from caelab.files import read_toml
from caelab.training.config import Table, reason

if TYPE_CHECKING:
    import optuna

    from caelab.experiments.run import OnEpoch
    from caelab.experiments.run_directory import RunDirectory

FAILED = "failed because"
"""Name of the attribute that holds why a trial failed; interrupted trials do not have it."""


class Range(Table):
    """Numbers from ``low`` to ``high``, drawn on a logarithmic scale unless ``linear`` is true.

    If both limits are whole numbers, all drawn numbers are whole numbers, too.
    """

    low: int | float
    high: int | float
    linear: bool = False

    @model_validator(mode="after")
    def _is_a_range(self) -> "Range":
        if not self.low < self.high or not (self.linear or self.low > 0):
            raise ValueError("expected low < high, both above 0 unless linear = true")
        return self


def _all_different(values: list[Any]) -> list[Any]:
    # Compared by their text, because 1 and True are equal in Python but mean different values here.
    if len(set(map(repr, values))) < len(values):
        raise ValueError("expected each value only once")
    return values


Choices = Annotated[
    list[int | float | str | bool], Field(min_length=1), AfterValidator(_all_different)
]


class Search(Table):
    """A search as its file states it.

    Attributes:
        name: Name of the search and of its database.
        trials: Total number of trials.
        seed: Seed of the random choice of values.
        pruner: Rule that stops bad trials early; ``none`` trains all trials to their end.
        base: Nested tables of parameters that all runs share; the text of the network may hold
            placeholders, such as ``{width}``.
        space: Values to try, by the short name of a parameter or by the name of a placeholder.
    """

    name: str
    trials: int = Field(default=20, ge=1)
    seed: int = Field(default=0, ge=0)
    pruner: Literal["none", "median", "halving"] = "none"
    base: dict[str, Any]
    space: dict[str, Range | Choices]

    def config(self, values: Mapping[str, Any]) -> RunConfig:
        """Return the configuration of the trial with the given values.

        Raises:
            InputError: The values do not make a valid configuration.
        """
        placeholders = _placeholders(self.base["network"])
        network = self.base["network"].format(**{name: values[name] for name in placeholders})
        options = nest({name: values[name] for name in values if name not in placeholders})
        return make_config(merge(self.base, options, {"network": network}))


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A finished or pruned trial.

    Attributes:
        number: Number of the trial, from 0.
        values: Values that were tried, by the names in ``[space]``.
        run: Name of the run directory; empty if the trial failed.
        error: Smallest validation error of the trained epochs; ``None`` if the trial failed.
        pruned_after: Number of epochs after which the trial was pruned; ``None`` if it was not.
    """

    number: int
    values: Mapping[str, Any]
    run: str
    error: float | None
    pruned_after: int | None = None


class _Pruned(Exception):
    """The pruner stops the trial, because other trials have smaller errors."""


def read_search(
    file: Path,
    *,
    options: Mapping[str, Any],
    trials: int | None = None,
    pruner: str | None = None,
) -> Search:
    """Read the file of a search, and check it.

    Args:
        file: TOML file, or the name of a recipe.
        options: Nested tables of parameters that take precedence over those of ``[base]``.
        trials: Number of trials that replaces the file's; ``None`` keeps it.
        pruner: Pruner that replaces the file's; ``None`` keeps it.

    Raises:
        InputError: The file cannot be read, or something in it is wrong.
    """
    file = find_recipe(file, "search")
    tables = {"search": {}, "base": {}, "space": {}} | read_toml(file, "search")
    if len(tables) > 3 or not all(isinstance(table, dict) for table in tables.values()):
        raise InputError(
            f"{file}: expected the tables [search], [base] and [space], not {', '.join(tables)}."
        )
    base = merge(tables["base"], options)
    space = {name: levels for _, name, levels in short_names(tables["space"])}
    if not isinstance(base.get("network"), str):
        raise InputError(
            f'{file}: expected network = "…" in [base], with placeholders such as {{width}}.'
        )
    chosen = {"trials": trials, "pruner": pruner}
    header = {"name": file.stem} | tables["search"]
    header |= {name: value for name, value in chosen.items() if value is not None}
    try:
        search = Search(**header, base=base, space=space)
    except ValidationError as error:
        problems = "; ".join(_explain(problem) for problem in error.errors())
        raise InputError(f"{file}: {problems}.") from error
    _require_space(file, search)
    # One configuration is made now, so that a mistake in [base] is reported before the first trial.
    search.config(
        {
            name: levels.low if isinstance(levels, Range) else levels[0]
            for name, levels in search.space.items()
        }
    )
    return search


def _explain(problem: Any) -> str:
    where, *path = map(str, problem["loc"])
    name = f"[space] {path[0]}" if where == "space" and path else f"[search] {where}"
    return f"{name}: {reason(problem)}"


def _require_space(file: Path, search: Search) -> None:
    """Raise unless each placeholder has values, and each name is a placeholder or a parameter."""
    placeholders = _placeholders(search.base["network"])
    missing = placeholders - search.space.keys()
    if missing or not search.space:
        raise InputError(f"{file}: [space] lacks {', '.join(sorted(missing)) or 'values to try'}.")
    for name in search.space.keys() - placeholders - PARAMETERS.keys():
        raise InputError(
            f"{file}: [space] {name}: neither a placeholder in the network's text nor a parameter:"
            f" {unknown_parameter(name.split('.'))}."
        )


def _placeholders(network: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", network))


def run_search(search: Search, *, runs: Path, file: Path) -> Iterator[Trial]:
    """Yield the trials of earlier calls, then train and yield trials until ``search.trials`` exist.

    An interrupted trial is started again with the same values, and its run resumes. A trial whose
    network is impossible or whose training diverges counts as failed, and the search continues.
    The run of a pruned trial stays unfinished; training its configuration again would resume it.

    Args:
        search: The search.
        runs: Folder of run directories.
        file: Database of the trials.

    Raises:
        InputError: Optuna is not installed, or the database belongs to another search.
    """
    study = _open(search, file)
    import optuna

    from caelab.experiments.run import run
    from caelab.training.fit import TrainingDiverged

    failed, pruned = optuna.trial.TrialState.FAIL, optuna.trial.TrialState.PRUNED
    study.pruner = _pruner(search)
    done = 0
    for trial in study.get_trials(deepcopy=False):
        if trial.value is not None or trial.state == pruned or FAILED in trial.user_attrs:
            done += 1
            yield _trial(trial)
        elif not trial.state.is_finished():
            # An interrupted trial does not count, so the next trial gets the same values.
            study.tell(trial.number, state=failed)
    for count in range(done, search.trials):
        # The values of a trial depend on the seed and on earlier trials, not on interruptions.
        entropy = np.random.SeedSequence([search.seed, count]).generate_state(1)
        study.sampler = optuna.samplers.TPESampler(seed=int(entropy[0]))
        asked = study.ask()
        values = {name: _suggest(asked, name, levels) for name, levels in search.space.items()}
        error: float | None = None
        state: optuna.trial.TrialState | None = failed
        try:
            config = search.config(values)
            directory = run(config, runs=runs, watch=partial(_watch, asked, config.epochs))
            asked.set_user_attr("run", directory.path.name)
            # A run that was finished before is not watched, but the pruner needs its errors, too.
            _report(asked, directory)
            error, state = directory.read_result()["validation_mse"], None
        except _Pruned:
            state = pruned
        except (InputError, TrainingDiverged) as problem:
            asked.set_user_attr(FAILED, str(problem))
        yield _trial(study.tell(asked, error, state))


def _watch(trial: "optuna.Trial", epochs: int, directory: "RunDirectory") -> "OnEpoch":
    """Return the function that reports each epoch of a run, and raises to stop a bad trial."""
    trial.set_user_attr("run", directory.path.name)

    def on_epoch(_: Mapping[str, float]) -> None:
        # After the last epoch, pruning would save no time.
        if 0 < _report(trial, directory) < epochs and trial.should_prune():
            raise _Pruned

    # A run that was pruned or interrupted before may be pruned now, by the epochs that it has.
    if directory.epochs.is_file():
        on_epoch({})
    return on_epoch


def _report(trial: "optuna.Trial", directory: "RunDirectory") -> int:
    """Report the validation errors of new epochs; return the last new epoch, or 0 without one."""
    # Not only the last epoch, because the first epochs of a resumed run belong to another trial.
    known = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
    rows = [row for row in directory.read_epochs() if int(row["epoch"]) not in known]
    for row in rows:
        trial.report(row["validation_mse"], int(row["epoch"]))
    return int(rows[-1]["epoch"]) if rows else 0


def _pruner(search: Search) -> "optuna.pruners.BasePruner":
    """Return the pruner of Optuna that ``search.pruner`` names."""
    from optuna import pruners

    match search.pruner:
        case "none":
            return pruners.NopPruner()
        case "median":
            # The first epochs say little about a run, because the learning rate is still rising.
            epochs = search.base.get("epochs", PARAMETERS["epochs"].default)
            return pruners.MedianPruner(n_warmup_steps=epochs // 4)
        case "halving":
            return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
        case _:
            assert_never(search.pruner)


def _trial(stored: "optuna.trial.FrozenTrial") -> Trial:
    errors = stored.intermediate_values
    pruned = stored.state.name == "PRUNED"
    return Trial(
        number=stored.number,
        values=stored.params,
        run=stored.user_attrs.get("run", "") if FAILED not in stored.user_attrs else "",
        error=min(errors.values()) if pruned else stored.value,
        pruned_after=max(errors) if pruned else None,
    )


def _open(search: Search, file: Path) -> "optuna.Study":
    try:
        import optuna
    except ImportError as error:
        raise missing_extra("a search needs Optuna", "search") from error
    # Otherwise Optuna would log every trial on stderr.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{file}", study_name=search.name, load_if_exists=True
    )
    # Another number of trials, another seed or another pruner does not make another search.
    content = search.model_dump_json(exclude={"trials", "seed", "pruner"})
    if study.user_attrs.get("search", content) != content:
        raise InputError(f"{file} holds another search called {search.name}: choose another `out`.")
    study.set_user_attr("search", content)
    return study


def _suggest(trial: "optuna.Trial", name: str, levels: Range | Choices) -> Any:
    if isinstance(levels, list):
        return trial.suggest_categorical(name, levels)
    if isinstance(levels.low, int) and isinstance(levels.high, int):
        return trial.suggest_int(name, levels.low, levels.high, log=not levels.linear)
    # Logarithmic by default, because learning rates of 0.001 and 0.002 differ as much as 0.01 and
    # 0.02.
    return trial.suggest_float(name, levels.low, levels.high, log=not levels.linear)
