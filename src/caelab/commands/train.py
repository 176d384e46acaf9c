"""``caelab train``: train one network and measure it."""

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from caelab.commands.help import documented_command
from caelab.commands.options import COMMON, given_options, run_options
from caelab.commands.output import PATH, echo, json_option, print_errors, print_json, runs_option
from caelab.errors import InputError
from caelab.experiments.config import ConfigError, RunConfig, make_config, merge, states
from caelab.experiments.migration import migrate_config
from caelab.experiments.recipes import find_recipe
from caelab.files import line_of, read_json, read_toml
from caelab.progress import hidden


@documented_command(
    "train",
    "caelab train reference --epochs 20 --seed 1",
    "caelab train 'conv16 pool conv8 | up conv3' --data pictures",
    "caelab train --config colorize-chroma --device cuda",
    "caelab train --continue runs/reference-0123abcd --epochs 40",
)
@click.argument("network", required=False)
@click.option(
    "--config",
    "file",
    type=PATH,
    help=(
        "Recipe (a .toml file, or a name in `caelab recipes`), or config.json of a run; options"
        " take precedence."
    ),
)
@click.option("--out", type=PATH, help="Run directory.  [default: a new one in --runs]")
@runs_option
@click.option(
    "--tensorboard",
    type=PATH,
    metavar="DIR",
    help="Write each epoch's errors for TensorBoard to DIR/RUN.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    help="CPU threads.  [default: OMP_NUM_THREADS, or one per core]",
)
@json_option
@run_options(common=COMMON)
def command(
    network: str | None,
    file: Path | None,
    out: Path | None,
    runs: Path,
    tensorboard: Path | None,
    threads: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train NETWORK, a network text or the name of a preset; by default reference.

    The run directory gets the weights of the best epoch, test errors, errors of each epoch and
    pictures. If interrupted, the same command resumes.

    \f

    Args:
        network: Network text or preset.
        file: Recipe or ``config.json`` of a run.
        out: Run directory; by default a folder in ``runs`` whose name depends on the configuration.
        runs: Folder of the run directories.
        tensorboard: Folder for TensorBoard's files.
        threads: CPU threads.
        as_json: Print JSON.
        options: Options of a run, as ``options`` declares them.
    """
    config = _read_config(file, given_options({"network": network, **options}))
    # PyTorch is imported only here, so that wrong options are refused without waiting for it.
    from caelab.device import set_threads
    from caelab.experiments.run import run
    from caelab.training.process_group import join_processes

    set_threads(threads)
    watch = None
    if tensorboard is not None:
        from caelab.experiments.tracking import TensorBoard

        watch = TensorBoard(tensorboard)
    with join_processes(config.device) as group, ExitStack() as stack:
        if not group.is_first:
            # Otherwise each process would show the same bar and the same notes.
            stack.enter_context(hidden())
            logging.getLogger("caelab").setLevel(logging.ERROR)
        directory = run(config, out=out, runs=runs, watch=watch, group=group)
    if not group.is_first:
        return
    result = directory.read_result()
    if as_json:
        print_json({"run": str(directory.path), **result})
        return
    print_errors("test images", result["test"], result["baselines"])
    code = f"code {result['code_size']}, " if result["code_size"] else ""
    echo(
        f"{code}narrowest {result['narrowest_size']}, {result['weights']:,} weights; best epoch "
        f"{result['best_epoch']} of {result['epochs']}, {result['seconds_per_epoch']:.1f} s each"
    )
    echo(f"data: {result['data']}")
    echo(f"run: {directory.path}")


def _read_config(file: Path | None, chosen: dict[str, Any]) -> RunConfig:
    """Return the configuration of a recipe and of the options that replace the recipe's.

    Raises:
        InputError: A value is wrong; the message says where.
    """
    recipe = read_options(file) if file else {}
    try:
        return make_config(merge(recipe, chosen))
    except ConfigError as error:
        if file is None:
            raise
        raise InputError(_with_lines(error, file, recipe, chosen)) from error


def _with_lines(
    error: ConfigError, file: Path, recipe: Mapping[str, Any], chosen: Mapping[str, Any]
) -> str:
    """Return the message of an error, with file and line of each wrong value in the recipe.

    Args:
        error: Error of the merged options.
        file: Recipe or ``config.json``, as the user named it.
        recipe: Options in the file.
        chosen: Options of the command line, which replaced those in the file.
    """
    # If the user named a shipped recipe, `find_recipe` returns its file.
    source = file if file.suffix == ".json" else find_recipe(file, "run")
    text = source.read_text(encoding="utf-8")
    problems = []
    for path, problem in error.problems.items():
        # A wrong option of the command line has no line in the file.
        if states(recipe, path) and not states(chosen, path):
            line = None if file.suffix == ".json" else line_of(text, path)
            where = f"{file}, line {line}" if line else str(file)
            # In backticks, the parameter would be replaced by an option, which the file lacks.
            problem = f"{where}: {problem.replace('`', '')}"
        problems.append(problem)
    message = ";\n".join(problems)
    return message if message.endswith("?") else f"{message}."


def read_options(file: Path) -> dict[str, Any]:
    """Read options from a recipe or from the ``config.json`` of a run.

    Args:
        file: TOML file of a recipe, name of a shipped recipe, or path of a ``.json`` file.

    Raises:
        InputError: The file is missing, or is no recipe or ``config.json``.
    """
    if file.suffix != ".json":
        return read_toml(find_recipe(file, "run"), "recipe")
    content = read_json(file)
    # The card of a shipped model has its configuration in the same place as `config.json`.
    options = content.get("config", content)
    if not isinstance(options, dict):
        raise InputError(f"{file}: 'config' should hold the options by name.")
    return migrate_config(options)
