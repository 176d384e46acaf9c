"""Show the errors of runs in TensorBoard during training."""

from collections.abc import Mapping
from pathlib import Path

from caelab.errors import InputError, missing_extra
from caelab.experiments.run import OnEpoch
from caelab.experiments.run_directory import RunDirectory


class TensorBoard:
    """Writes the columns of ``epochs.csv`` as scalars for TensorBoard, to one folder per run.

    Pass an instance to :func:`~caelab.experiments.run.run` as ``watch``.

    Args:
        folder: Folder for all runs. Each run gets a folder in it, named like its run directory.

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
        """Return the function that writes the values of each epoch.

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
            # Flushed after each epoch, because people look at TensorBoard during training.
            writer.flush()

        return write
