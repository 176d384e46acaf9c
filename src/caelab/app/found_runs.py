"""The runs in a folder, finished or not, with their states."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from caelab.errors import InputError
from caelab.experiments.config import RunConfig
from caelab.experiments.run_directory import RunDirectory, read_config

DEPTH = 2
"""Levels of folders that are searched: run directories may be in subfolders, as in ``runs/lab``."""

MOST = 1000
"""Largest number of runs that the page lists."""


@dataclass(frozen=True, kw_only=True)
class FoundRun:
    """A run directory and its content.

    Attributes:
        name: Path of the run directory relative to the folder of runs, which URLs contain.
        directory: Paths of the files in the run directory.
        state: ``"finished"``, ``"running"``, ``"interrupted"`` or ``"damaged"``.
        config: Configuration of the run; ``None`` if the run is damaged.
        epochs: Rows of ``epochs.csv``.
        test_mse: Mean squared error of the test images; ``None`` unless the run is finished.
        problem: Error message of a damaged run; otherwise ``None``.
    """

    name: str
    directory: RunDirectory
    state: str
    config: RunConfig | None = None
    epochs: tuple[dict[str, float], ...] = ()
    test_mse: float | None = None
    problem: str | None = None

    @property
    def validation_mse(self) -> float | None:
        """The smallest validation error so far; ``None`` before the first epoch ends."""
        return min((row["validation_mse"] for row in self.epochs), default=None)

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds of training that are left; ``None`` if they are unknown."""
        if self.state != "running" or self.config is None or not self.epochs:
            return None
        epoch = statistics.median(row["seconds"] for row in self.epochs[-3:])
        return epoch * max(0, self.config.epochs - len(self.epochs))

    def as_json(self) -> dict[str, object]:
        """Return the values that change while the run trains."""
        return {
            "name": self.name,
            "state": self.state,
            "epochs": len(self.epochs),
            "validation_mse": self.validation_mse,
            "test_mse": self.test_mse,
            "seconds_left": self.seconds_left,
        }


def find_runs(runs: Path) -> list[FoundRun]:
    """Return the runs of a folder and its subfolders, the newest first.

    Args:
        runs: Folder of run directories; it may not exist.
    """
    paths = list(_run_folders(runs, DEPTH))[:MOST]
    paths.sort(key=_changed, reverse=True)
    return [read_found_run(runs, path) for path in paths]


def find_run(runs: Path, name: str) -> FoundRun | None:
    """Return the run with a name; ``None`` if the folder has no such run.

    The name must be that of an existing run, so that it cannot lead out of the folder.
    """
    paths = {path.relative_to(runs).as_posix(): path for path in _run_folders(runs, DEPTH)}
    return read_found_run(runs, paths[name]) if name in paths else None


def read_found_run(runs: Path, path: Path) -> FoundRun:
    """Read a run directory. If it is damaged, the result says so, and there is no error.

    Args:
        runs: Folder of runs.
        path: Run directory in it.
    """
    directory, name = RunDirectory(path), path.relative_to(runs).as_posix()
    try:
        config = read_config(path)
        finished = directory.finished
        epochs = tuple(directory.read_epochs()) if directory.epochs.is_file() else ()
        test_mse = float(directory.read_result()["test"]["mse"]) if finished else None
        state = "finished" if finished else "running" if directory.busy else "interrupted"
    except (InputError, OSError) as error:
        return FoundRun(name=name, directory=directory, state="damaged", problem=str(error))
    return FoundRun(
        name=name, directory=directory, state=state, config=config, epochs=epochs,
        test_mse=test_mse,
    )  # fmt: skip


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the run directories in a folder. Links are not followed: they may lead out of it."""
    try:
        inner = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError:  # the folder does not exist, or was removed just now
        return
    for path in inner:
        if path.name.startswith("."):
            continue
        if (path / "config.json").is_file():
            yield path
        elif depth > 1:
            yield from _run_folders(path, depth - 1)


def _changed(path: Path) -> float:
    try:
        return (path / "config.json").stat().st_mtime
    except OSError:
        return 0.0
