"""The run directory: all files of a run, which reports and comparisons read."""

import copy
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from caelab.errors import InputError
from caelab.experiments.config import RunConfig, make_config
from caelab.experiments.migration import is_flat, migrate_config, migrate_result
from caelab.files import (
    BusyError,
    locked,
    other_files,
    read_csv,
    read_json,
    to_json,
    without_home,
    write_bytes,
    write_csv,
    write_text,
)
from caelab.registry import PLUGIN_HINT

if TYPE_CHECKING:
    from caelab.models.image_model import ImageModel


@dataclass(kw_only=True)
class BestCheckpoint:
    """The rows of all epochs so far, and the weights after the best epoch.

    The best epoch is the one with the smallest validation error.

    Attributes:
        records: Rows of ``epochs.csv``, one for each epoch.
        epoch: Number of the best epoch, from 1; 0 before the end of the first epoch.
        error: Validation error of the best epoch.
        weights: Weights of the model after the best epoch, by name.
    """

    records: list[dict[str, float]] = field(default_factory=list)
    epoch: int = 0
    error: float = math.inf
    weights: dict[str, torch.Tensor] = field(default_factory=dict)

    def add(self, record: dict[str, float], model: "ImageModel") -> None:
        """Append an epoch; copy the model's weights if they are the best so far."""
        self.records.append(record)
        # Of equal errors, the first one counts.
        if record["validation_mse"] < self.error:
            self.epoch, self.error = int(record["epoch"]), record["validation_mse"]
            # A state dict refers to the weights themselves, which the next step changes.
            self.weights = copy.deepcopy(model.state_dict())

    @property
    def epochs_since(self) -> int:
        """Number of epochs since the best one."""
        return len(self.records) - self.epoch


def _is_epoch(record: Mapping[str, float]) -> bool:
    return all(map(math.isfinite, record.values())) and record.get("epoch", 0) >= 1


_Error = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0)]


class _Errors(BaseModel):
    model_config = ConfigDict(extra="allow")

    mse: _Error
    psnr: float | None = None
    n: Annotated[int, Field(ge=1)]


class _Result(BaseModel):
    """Keys of ``result.json`` that reports and studies need; further keys are allowed."""

    model_config = ConfigDict(extra="allow")

    test: _Errors
    baselines: dict[str, _Errors]
    validation_mse: _Error
    seconds_per_epoch: _Error
    epochs: Annotated[int, Field(ge=1)]
    best_epoch: Annotated[int, Field(ge=1)]
    images: dict[str, _Count]
    normalization: dict[str, list[float]]
    network: str
    code_size: _Count | None = None
    narrowest_size: _Count
    weights: _Count
    multiply_accumulates: _Count
    data: str
    data_note: str = ""
    seconds: _Error = 0
    peak_memory_bytes: _Count | None = None


_RESULT = TypeAdapter(_Result)


class RunDirectory:
    """Paths of the files of one run, and methods that read and write them.

    ``config.json`` is written first and ``result.json`` last, so a directory with ``result.json``
    is a finished run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.json"
        self.environment = path / "environment.json"
        self.epochs = path / "epochs.csv"
        self.result = path / "result.json"
        self.per_image = path / "per_image.npz"
        self.weights = path / "weights.safetensors"
        self.checkpoint = path / "checkpoint.pt"
        self.samples = path / "samples.png"
        self.error = path / "error.svg"
        self.lock = path / ".lock"

    @property
    def finished(self) -> bool:
        """True if ``result.json``, which is written last, exists."""
        return self.result.is_file()

    @property
    def busy(self) -> bool:
        """True if another process is training the run now."""
        # Trying the lock creates its file, which needs the folder.
        if not self.path.is_dir():
            return False
        try:
            with locked(self.lock, wait=0):
                return False
        except BusyError:
            return True

    def require_finished(self) -> None:
        """Raise unless the run is finished.

        Raises:
            InputError: The run is not finished; the message names the directory.
        """
        if not self.finished:
            raise InputError(
                f"{self.path} is not a finished run: it has no {self.result.name}. Train it first."
            )

    def claim(self, config: RunConfig, key: str, source: dict[str, str]) -> None:
        """Write ``config.json``, or check that the directory already holds the same run.

        Args:
            config: Configuration of the run.
            key: Key of the run, from :meth:`RunConfig.key`.
            source: Origin of the images: the fields of their ``Source``, by name.

        Raises:
            InputError: The path is a file, holds another run, or is a folder that is not empty and
                holds no run.
        """
        # Two runs in one folder would mix their files. An equal key means that it is the same run,
        # which resumes.
        if owns_folder(self.path, "run", self.config):
            content = self.read(self.config)
            stored = content.get("config")
            if isinstance(stored, dict) and is_flat(stored):
                raise InputError(
                    f"{self.path} holds a run of an earlier version of caelab: it can be evaluated"
                    " and reported, but not continued. Choose another folder to train it again."
                )
            if (owner := content.get("key")) != key:
                raise InputError(
                    f"{self.path} holds another run ({owner}; this one is {key}): its configuration"
                    " or its data differ. Choose another `out`; without one, every run gets its own"
                    " folder."
                )
            return
        options = config.model_dump(mode="json")
        # Run directories are given to other people, so paths must not show the user's name.
        for table, name in (("data", "source"), ("start", "weights"), ("start", "run")):
            options[table][name] = without_home(options[table][name] or "") or None
        source = {**source, "where": without_home(source["where"])}
        self.write(self.config, {"key": key, "config": options, "data": source})

    def write(self, file: Path, content: dict[str, Any]) -> None:
        """Write ``content`` as JSON to ``file``; numbers that are not finite become ``null``."""
        write_text(file, to_json(content))

    def read(self, file: Path) -> dict[str, Any]:
        """Return the content of a JSON file.

        Raises:
            InputError: The file is missing or damaged.
        """
        return read_json(file)

    def read_result(self) -> dict[str, Any]:
        """Return the content of ``result.json``; old keys are replaced by those of this version.

        Raises:
            InputError: The file is missing or damaged.
        """
        result = migrate_result(self.read(self.result))
        try:
            _RESULT.validate_python(result)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError(
                f"{self.result} is damaged: a value that every run states is missing or wrong"
                f" ({where or 'all'}: {first['msg']}). Delete it to train the run again."
            ) from error
        return result

    def write_epochs(self, records: Sequence[dict[str, float]]) -> None:
        """Write the whole file ``epochs.csv``, one row per epoch, so that no row is there twice."""
        names = list(records[0])
        rows = ([f"{record[name]:.8g}" for name in names] for record in records)
        write_csv(self.epochs, names, rows)

    def read_epochs(self) -> list[dict[str, float]]:
        """Return the rows of ``epochs.csv``, each with its numbers by column name.

        Raises:
            InputError: The file is missing or damaged.
        """
        header, *rows = read_csv(self.epochs) or [[]]
        try:
            records = [dict(zip(header, map(float, row), strict=True)) for row in rows]
        except ValueError as error:
            raise InputError(f"cannot read {self.epochs}: {error}. Train the run again.") from error
        if not records or not all(map(_is_epoch, records)):
            raise InputError(
                f"cannot read {self.epochs}: it has no rows, or rows without valid numbers."
                " Train the run again."
            )
        return records

    def save_checkpoint(self, content: dict[str, Any]) -> None:
        """Save the tensors and plain values that a resumed run needs, atomically."""
        # `torch.save` writes to memory, because on a full disk it would not raise an OSError.
        # `write_bytes` does raise one.
        stream = io.BytesIO()
        torch.save(content, stream)
        write_bytes(self.checkpoint, stream.getbuffer())

    def load_checkpoint(self) -> dict[str, Any] | None:
        """Return the content of the checkpoint, or ``None`` if there is none.

        The file is loaded with ``weights_only``, so that a file from elsewhere cannot run code.

        Raises:
            InputError: The file is damaged.
        """
        if not self.checkpoint.is_file():
            return None
        try:
            content: dict[str, Any] = torch.load(
                self.checkpoint, map_location="cpu", weights_only=True
            )
        # PyTorch raises errors of many kinds for a damaged file.
        except Exception as error:
            raise InputError(
                f"{self.checkpoint} is damaged ({type(error).__name__}). Delete it to train this"
                " run from the start."
            ) from error
        return content


def owns_folder(folder: Path, kind: str, marker: Path) -> bool:
    """Return whether a folder already holds a run or a study; raise if it holds something else.

    Args:
        folder: Folder that a run or a study will write to.
        kind: ``"run"`` or ``"study"``, for messages.
        marker: File that a run or a study writes first.

    Raises:
        InputError: The path is a file, or the folder holds other files and no marker.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: a {kind} needs a folder. Choose another `out`.")
    others = other_files(folder)
    if marker.is_file():
        return True
    if others:
        raise InputError(
            f"{folder} is not empty and not a {kind}. Choose a new or empty folder for `out`."
        )
    return False


def run_name(config: RunConfig, fingerprint: str) -> str:
    """Return the folder name of a run: its network, its task, and its key for the data.

    ``fingerprint`` identifies the data: see :meth:`RunConfig.key`.

    >>> run_name(RunConfig(), "0123")
    'reference-...'
    >>> run_name(RunConfig().replace(degradation="gray", target="chroma"), "0123")
    'reference-gray-chroma-...'
    """
    task = [str(config.degradation)] if config.degradation.steps else []
    task += [config.target.kind] if config.target.kind != "rgb" else []
    # The words are for people, and shortened to fit every file system. The key is unique.
    parts = [
        re.sub(r"[^A-Za-z0-9.]+", "-", text)[:limit].strip("-.")
        for text, limit in ((config.network_name, 40), *((each, 24) for each in task))
    ]
    return "-".join([*parts, config.key(fingerprint)])


def read_config(run: Path) -> RunConfig:
    """Return the configuration of a run, also of a run of an earlier version.

    Args:
        run: The run directory.

    Raises:
        InputError: The configuration is missing or damaged, or needs a plug-in that is not loaded.
    """
    content = read_json(run / "config.json").get("config")
    if not isinstance(content, dict):
        raise InputError(f"{run / 'config.json'} holds no configuration under 'config'.")
    try:
        return make_config(migrate_config(content))
    except InputError as error:
        raise InputError(f"{run / 'config.json'}: {error}\n{PLUGIN_HINT}") from error
