"""``caelab.train``, and the finished run that it returns."""

from collections.abc import Callable, Mapping
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import InstanceOf
from safetensors.numpy import load_file

from caelab.api.data import Data, load_data
from caelab.api.describe import NetworkDescription
from caelab.api.display import Picture, Table, checked, stacked
from caelab.data.in_memory import Items
from caelab.errors import InputError
from caelab.experiments.config import RunConfig, make_config, merge, nest
from caelab.experiments.run import run as train_run
from caelab.networks import Network
from caelab.pictures.load import Model, load
from caelab.plotting import draw_image_rows
from caelab.report.colorization import ColorAnswer, answer_colors
from caelab.report.render_markdown import render_markdown
from caelab.report.run_differences import Variant, Variants
from caelab.report.run_images import RunImages, choose_images
from caelab.report.run_reader import FinishedRun, read_run
from caelab.report.shortcomings import Shortcomings, measure_shortcomings, shortcoming_part

DATA_OPTIONS = ("size", "channels", "split", "split_seed", "train_size", "val_size")
"""Options of a run that :func:`loaded` passes to :func:`caelab.load_data`."""

METRICS = {
    "mse": "MSE", "psnr": "PSNR, dB", "ssim": "SSIM", "chroma_mse": "chroma MSE",
    "ciede2000": "ΔE₀₀", "colorfulness": "colorfulness",
}  # fmt: skip
"""Metrics in a run's table of errors, with their headings. A run may lack some of them."""


class Run:
    """A finished run, read from its directory.

    >>> import caelab, tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     trained = caelab.train("conv2 | conv3", "photos", runs=folder, epochs=1, train_size=128)
    ...     run = caelab.Run(trained.path)
    ...     restored = run.model.restore(np.zeros((1, 3, 32, 32), np.uint8))
    ...     errors = run.per_image["mse"]
    >>> run.network.text, len(run.errors), errors.shape, restored.shape
    ('conv2 | conv3', 1, (800,), (1, 3, 32, 32))

    Attributes:
        finished: Content of the run directory: configuration, result, and errors of each image.
    """

    def __init__(self, path: str | Path, *, data: Data | None = None) -> None:
        """Read a run.

        Args:
            path: Run directory.
            data: Images of the run. They are needed only if the images were in memory; otherwise
                they save the time to load the images again.

        Raises:
            InputError: There is no finished run, or one of its files is damaged.
        """
        self.finished: FinishedRun = read_run(Path(path))
        self._images = RunImages(None if data is None else data.images)

    @property
    def path(self) -> Path:
        """Run directory."""
        return self.finished.directory.path

    @property
    def config(self) -> RunConfig:
        """Configuration with all parameters that are needed to repeat the run."""
        return self.finished.config

    @property
    def network(self) -> NetworkDescription:
        """Description of the trained network, with the outputs that its prediction target needs."""
        return NetworkDescription(**vars(self.finished.description))

    @property
    def errors(self) -> Table:
        """Rows of ``epochs.csv``: mean squared errors on [0, 1] and duration of each epoch."""
        return Table({**row, "epoch": int(row["epoch"])} for row in self.finished.epochs)

    @property
    def test(self) -> dict[str, float]:
        """Mean of each metric over the test images, such as ``mse`` on [0, 1] or ``psnr`` in dB."""
        return dict(self.finished.result["test"])

    @property
    def per_image(self) -> dict[str, NDArray[Any]]:
        """Errors of each test image, an array ``(N,)`` for each metric."""
        return self.finished.measures

    @property
    def results(self) -> Table:
        """Test errors of the network, and of every baseline on the same images."""
        methods = {"network": self.test, **self.finished.result["baselines"]}
        shown = {name: heading for name, heading in METRICS.items() if name in self.test}
        return Table(
            {"method": method, **{heading: errors.get(name) for name, heading in shown.items()}}
            for method, errors in methods.items()
        )

    @cached_property
    def model(self) -> Model:
        """The trained model, with the methods ``restore``, ``encode`` and ``decode``."""
        return load(self.path)

    @property
    def weights(self) -> dict[str, NDArray[Any]]:
        """Weights of the best epoch by name, such as ``(C', C, K, K)`` of a convolution."""
        return load_file(self.finished.directory.weights)

    def plot(self) -> Picture:
        """Show training and validation error of each epoch, the test error and the baselines."""
        data = self.finished.directory.error.read_bytes()
        return Picture(data, "svg", f"error by epoch of {self.config.network_name}")

    def samples(self, count: int = 10) -> Picture:
        """Show test images and the network's outputs, from the smallest error to the largest.

        Args:
            count: Number of images, 1 or more.

        Raises:
            InputError: The images cannot be found again, or ``count`` is below 1.
        """
        return show_samples({"network": self}, count)

    def shortcomings(self) -> "MeasuredShortcomings":
        """Measure weaknesses of a colorizer: pale colors, wrong hues, colors that cross edges.

        Raises:
            InputError: The run does not color gray images, or its images cannot be found again.
        """
        if self.finished.degradation != "gray":
            raise InputError(
                "shortcomings are measured of runs with `degradation` gray;"
                f" {self.path.name} has {self.finished.degradation}."
            )
        variant = Variant(label=self.config.network_name, runs=(self.finished,))
        return MeasuredShortcomings(
            measure_shortcomings(variant, self._images),
            answer_colors(Variants((variant,), left_out=())),
        )

    def __repr__(self) -> str:
        return f"<run {self.path}: test MSE {self.test['mse']:.6f}>"

    def _repr_html_(self) -> str:
        heading = f"<code>{escape(str(self.path))}</code>: errors on the test images"
        # A run whose drawing was removed can still be shown.
        drawn = [self.plot()] if self.finished.directory.error.is_file() else []
        return stacked(heading, self.results, *drawn)


class MeasuredShortcomings:
    """Measured shortcomings of a colorizer; a notebook shows them as text and tables.

    Args:
        values: The measurements.
        colors: What the colorizer is, which says what remedies its training had.
    """

    def __init__(self, values: Shortcomings, colors: ColorAnswer) -> None:
        self.values = values
        self._colors = colors

    def __repr__(self) -> str:
        # The heading is left out: only a report with several parts needs it.
        part = shortcoming_part(self.values, self._colors)
        _, _, text = render_markdown([part]).text.partition("\n\n")
        return text

    def _repr_markdown_(self) -> str:
        return repr(self)


def show_samples(runs: Mapping[str, Run], count: int) -> Picture:
    """Show the outputs of several runs for the same test images, sorted by the first run's error.

    Args:
        runs: Runs with the same test images, by their labels in the picture.
        count: Number of images, 1 or more.

    Raises:
        InputError: The images cannot be found again, or ``count`` is below 1.
    """
    if not isinstance(count, int) or count < 1:
        raise InputError(f"`count` {count!r}: should be a whole number from 1 on.")
    first, *_ = runs.values()
    positions = choose_images(first.finished, count)
    rows: dict[str, NDArray[np.float32]] = {}
    for label, run in runs.items():
        made = first._images.pictures(run.finished, positions)
        if run.finished.degradation != "none":
            rows.setdefault(f"input, {run.finished.degradation}", made["degraded"])
        rows[label] = made["estimate"]
        original = made["target"]
    rows["original"] = original
    return Picture.of(draw_image_rows(rows), "png", f"test images, in rows: {', '.join(rows)}")


def loaded(data: Data | str | Path | Items, options: dict[str, Any]) -> Data:
    """Return ``data`` itself if the images are loaded already; otherwise load them.

    Args:
        data: Loaded images, or a source of :func:`caelab.load_data`.
        options: Options of a run. If the images are loaded here, the options in ``DATA_OPTIONS``
            are used and removed from this dictionary.
    """
    if isinstance(data, Data):
        return data
    return load_data(data, **{name: options.pop(name) for name in DATA_OPTIONS if name in options})


def configure(data: Data, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nested tables of a configuration for loaded images.

    Args:
        data: The loaded images.
        options: Parameters of the run by their short names.

    Raises:
        InputError: The option ``size`` or ``channels`` differs from the loaded images.
    """
    for name in ("size", "channels"):
        has = getattr(data.config, name)
        if options.get(name, has) != has:
            raise InputError(
                f"`{name}` {options[name]}: `data` is loaded already with {name} {has}. Load it"
                f" with the other {name}."
            )
    # Defaults are left out, so that a study's file can choose these parameters. Size and channels
    # always come from the images.
    chosen = data.config.model_dump(exclude_defaults=True)
    shape = {"size": data.config.size, "channels": data.config.channels}
    return merge({"data": chosen | shape}, nest(options))


@checked
def train(
    network: str | InstanceOf[Network] | None = None,
    data: InstanceOf[Data] | str | Path | InstanceOf[Items] = "auto",
    *,
    runs: str | Path = "runs",
    on_epoch: Callable[[Mapping[str, float]], object] | None = None,
    **options: Any,
) -> Run:
    """Train a network, measure it on the test images, and return the finished run.

    If the function is called again with the same arguments, a finished run is not trained again,
    and an interrupted run resumes.

    >>> import caelab, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = caelab.train(
    ...         "conv4 pool conv2 | up conv3", "photos", runs=folder, epochs=2, train_size=640
    ...     )
    ...     weights = run.weights
    >>> run.errors.column("epoch"), run.results[1]["method"]
    (array([1, 2]), 'pca-512')
    >>> run.test["mse"] < 0.1, sorted(weights)[0]
    (True, 'decoder.1.bias')

    Args:
        network: Network text such as ``"conv8 pool conv16 | up conv3"``, or a preset's name. By
            default it is ``"reference"``, or the network of ``start_weights`` or ``start_run``.
        data: Images that :func:`caelab.load_data` returned, or a ``source`` of that function, such
            as a path, an array or a PyTorch ``Dataset``. If ``start_run`` is given, the default is
            the images of that run.
        runs: Folder in which the run directory is made.
        on_epoch: Function that is called after each epoch with the epoch's row of ``epochs.csv``:
            ``epoch``, ``train_mse``, ``validation_mse``, ``learning_rate``, ``seconds`` and the
            terms of the loss.
        options: Parameters of the run by their names in ``caelab train --help-all``, such as
            ``epochs`` (1 or more, 10 by default), ``train_size``, ``batch_size``, ``seed``,
            ``learning_rate``, ``degradation`` (``"gray"``, ``"noise0.1"``, …), ``target``
            (``"rgb"``, ``"chroma"``, ``"bins"``), ``flip`` and ``patience``. ``start_weights``
            names a model or a run; training starts with its weights. ``start_run`` names a finished
            run, which is trained further, up to ``epochs`` epochs in total.

    Raises:
        InputError: A parameter is wrong, or the network does not fit the images.
        Interrupted: Someone pressed Ctrl-C; the state is saved.
    """
    tables: dict[str, Any] = {} if network is None else {"network": network}
    found = _images_for(data, options)
    tables |= nest(options) if found is None else configure(found, options)
    watch = None if on_epoch is None else lambda _: on_epoch
    images = None if found is None else found.images
    run = train_run(make_config(tables), runs=Path(runs), images=images, watch=watch)
    return Run(run.path, data=found)


def _images_for(data: Data | str | Path | Items, options: dict[str, Any]) -> Data | None:
    """Return the images of a run, or ``None`` if it takes the images of ``start_run``.

    Args:
        data: Loaded images, or a source of :func:`caelab.load_data`.
        options: Options of the run. This function changes the dictionary: it removes the options
            for loading images, and converts the paths in ``start_weights`` and ``start_run`` to
            texts.
    """
    starts = {name: options[name] for name in ("start_weights", "start_run") if options.get(name)}
    options |= {name: str(source) for name, source in starts.items()}
    if "start_run" in starts and isinstance(data, str) and data == "auto":
        return None
    if "start_weights" in starts and not isinstance(data, Data):
        # The weights need images like those that they were trained on.
        begun = make_config(nest({"start_weights": options["start_weights"]})).data
        options |= {"size": begun.size, "channels": begun.channels} | options
    return loaded(data, options)
