"""TensorBoard as a watcher of runs."""

from collections.abc import Mapping
from pathlib import Path

from caelab.errors import InputError, missing_extra
from caelab.experiments.run import OnEpoch
from caelab.experiments.run_directory import RunDirectory


class TensorBoard:
    """Writes what ``epochs.csv`` says as scalars for TensorBoard, to a folder for each run.

    It is what ``run(config, watch=…)`` takes.

    Args:
        folder: Folder of all runs; a run's folder in it has the name of its run directory.

    Raises:
        InputError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise missing_extra("`tensorboard` needs TensorBoard", "tensorboard") from error
        self._folder, self._make_writer = folder, SummaryWriter

    def __call__(self, directory: RunDirectory) -> OnEpoch:
        """Return the function that writes a row.

        Raises:
            InputError: The folder cannot be written to.
        """
        folder = self._folder / directory.path.name
        try:
            writer = self._make_writer(str(folder))
        except OSError as error:
            raise InputError(f"`tensorboard`: cannot write {folder}: {error.strerror}.") from error

        def write(row: Mapping[str, float]) -> None:
            for name, value in row.items():
                if name != "epoch":
                    writer.add_scalar(name, value, int(row["epoch"]))
            # At once, as people look at it while the run is trained.
            writer.flush()

        return write
