"""``caelab.study``: train several networks with several seeds, and compare them with a base."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, InstanceOf

from caelab.api.data import Data
from caelab.api.display import Picture, Table, checked, stacked
from caelab.api.run import Run, configure, loaded, show_samples
from caelab.data.in_memory import Items
from caelab.errors import InputError
from caelab.experiments.config import nest
from caelab.experiments.engines.base import Engine, SerialEngine
from caelab.experiments.engines.processes import ProcessEngine
from caelab.experiments.factors import TRANSFORMATIONS
from caelab.experiments.study import read_study
from caelab.experiments.study_runner import run_study
from caelab.networks import Network
from caelab.report.figures.effects import draw_effects
from caelab.report.figures.networks import draw_code_size, draw_front
from caelab.report.inputs import StudyResults, gather
from caelab.report.language import read_language

FIGURES = {
    "effects": draw_effects,
    "code size": lambda analysis, language: draw_code_size(analysis, {}, language),
    "weights": draw_front,
}


class Study:
    """A finished study; a notebook shows a row of results for each network.

    Attributes:
        finished: Rows of ``results.csv``, runs and failures of the study, and their analysis.
    """

    def __init__(self, finished: StudyResults, data: Data) -> None:
        self.finished = finished
        self._data = data

    @property
    def path(self) -> Path:
        """Folder with ``results.csv``; ``caelab report`` can write a report about it."""
        return self.finished.folder

    @cached_property
    def runs(self) -> dict[str, Run]:
        """For each network, the run with the lowest seed, by the network's label."""
        rows = self.finished.rows
        first = {row.label: row.run for row in sorted(rows, key=lambda row: -row.seed)}
        return {
            label: Run(self.finished.runs[first[label]].directory.path, data=self._data)
            for label in dict.fromkeys(row.label for row in rows)
        }

    @property
    def results(self) -> Table:
        """Code size, weights, seconds per epoch and test MSE (mean over seeds) of each network."""
        return Table(
            {
                "network": each.label,
                "text": each.network,
                "code": each.code_size,
                "weights": each.weights,
                "test MSE": each.mse.estimate,
                "seeds": each.mse.n,
                "s/epoch": each.seconds_per_epoch,
            }
            for each in self.finished.analysis.architectures
        )

    @property
    def effects(self) -> Table:
        """Test MSE of each network divided by the test MSE of the base, with 95% intervals.

        With 95% confidence, all intervals in the table hold at the same time. A verdict is
        ``lower``, ``higher``, ``equivalent`` (a difference of less than 3%) or ``undecided``.
        """
        effects = sorted(
            self.finished.analysis.effects, key=lambda each: each.contrast.ratio.estimate
        )
        return Table(
            {
                "network": each.architecture.label,
                "varied": each.factor,
                "same code size": each.same_code,
                "MSE / base's": each.contrast.ratio.estimate,
                "low": each.contrast.ratio.low,
                "high": each.contrast.ratio.high,
                "verdict": str(each.contrast.verdict),
            }
            for each in effects
        )

    @property
    def interactions(self) -> Table:
        """Effect of two changes made together, divided by the product of the effects of each alone.

        The effect of a change is the test MSE with the change divided by the test MSE of the base.
        If neither change alters the effect of the other, the quotient is 1. With 95% confidence,
        all intervals in the table hold at the same time.
        """
        return Table(
            {
                "network": each.architecture.label,
                "varied": each.architecture.varied,
                "MSE / product of effects": each.contrast.ratio.estimate,
                "low": each.contrast.ratio.low,
                "high": each.contrast.ratio.high,
                "verdict": str(each.contrast.verdict),
            }
            for each in self.finished.analysis.interactions
        )

    @property
    def best(self) -> Run:
        """Run with the lowest seed of the network that has the lowest mean validation error.

        Raises:
            InputError: No network has a finite error.
        """
        best = self.finished.analysis.best
        if best is None:
            raise InputError(f"no network of {self.path} has a finite error.")
        return self.runs[best.label]

    def plot(self, what: Literal["effects", "code size", "weights"] = "effects") -> Picture:
        """Show the study as a figure.

        Args:
            what: ``"effects"`` shows how each change affects the test error. ``"code size"`` and
                ``"weights"`` show the test error against the size of the code or the number of
                weights.

        Raises:
            InputError: ``what`` is unknown, or the study has no runs for this figure.
        """
        if what not in FIGURES:
            raise InputError(f"`what` {what!r}: should be one of {', '.join(FIGURES)}.")
        figure = FIGURES[what](self.finished.analysis, read_language("en"))
        if figure is None:
            raise InputError(f"`what` {what}: the study has no finished runs to draw it from.")
        return Picture.of(figure, "svg", f"{what} in the study {self.finished.name}")

    def samples(self, count: int = 10) -> Picture:
        """Show the outputs of all networks for the same test images.

        The images are sorted by the error of the first network.

        Args:
            count: Number of images, 1 or more.

        Raises:
            InputError: The images cannot be found again, or ``count`` is below 1.
        """
        return show_samples(self.runs, count)

    def __repr__(self) -> str:
        return repr(self.results)

    def _repr_html_(self) -> str:
        failures = self.finished.failures
        failed = [f"failed: {label}, seed {seed}: {escape(why)}" for label, seed, why in failures]
        return stacked(self.results, *failed)


@checked
def study(
    networks: Mapping[str, Any] | str | Path | None = None,
    data: InstanceOf[Data] | str | Path | InstanceOf[Items] = "auto",
    *,
    base: str | InstanceOf[Network] = "reference",
    factors: Mapping[str, Any] | None = None,
    cross: Sequence[str] = (),
    yes: bool = False,
    seeds: int | Sequence[int] | None = None,
    name: str = "study",
    runs: str | Path = "runs",
    workers: Annotated[int, Field(ge=1)] = 1,
    progress: Callable[[str], object] | None = None,
    **options: Any,
) -> Study:
    """Train a base network and other networks with several seeds, and compare them with the base.

    Finished runs are not trained again, so that networks and seeds can be added to a study.

    >>> import caelab, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     study = caelab.study(
    ...         {"smaller code": "conv4 pool conv1 | up conv3"}, "photos",
    ...         base="conv4 pool conv2 | up conv3", runs=folder, epochs=1, train_size=256,
    ...     )
    >>> study.results.column("code")
    array([512, 256])

    Args:
        networks: Mapping from labels of your choice to network texts. Instead of a text, a label
            can have a mapping of those parameters of a run that differ from the base. Instead of
            the mapping, give the path of a study's TOML file, which also contains the base, the
            factors and the name.
        data: Images that :func:`caelab.load_data` returned, or a ``source`` of that function.
        base: Network that the others are compared with: a text or a preset's name.
        factors: Mapping from each factor to the values (levels) to try, such as
            ``{"kernel": [1, 5]}``. Factors are ``kernel``, ``channels``, ``downsampling``,
            ``upsampling``, ``code_activation``, and every parameter of a run. For a factor with
            another name, each level needs a label and a network text:
            ``{"layers": {"one more": "…"}}``.
        cross: Names of factors whose levels are also tried in all combinations.
        yes: True allows crossed factors to make more than 1,000 runs.
        seeds: Number of seeds, or the seeds themselves, each 0 or more. By default there is one
            seed; a file can contain others.
        name: Name of the study's folder: letters, digits, - and _.
        runs: Folder of run directories.
        workers: Number of runs that train at the same time, each in its own process. With more
            than one, a script must call this function below ``if __name__ == "__main__":``.
        progress: Function that is called with a line of text after each run, such as ``print``.
        options: Parameters of all runs; see :func:`caelab.train`.

    Raises:
        InputError: Networks or parameters are wrong (the message names all of them), or no run
            could be trained.
        Interrupted: Someone pressed Ctrl-C; the state is saved.
    """
    data = loaded(data, options)
    plan = read_study(
        {
            "study": {"name": name, "cross": [*cross]},
            "base": {"network": base},
            "factors": _factors(factors or {}),
            "networks": {label: _tables(each) for label, each in (networks or {}).items()},
        }
        if networks is None or isinstance(networks, Mapping)
        else Path(networks),
        options=configure(data, options),
        seeds=seeds if seeds is None or isinstance(seeds, int) else [*seeds],
        yes=yes,
    )
    folder = Path(runs) / f"study-{plan.name}-{plan.base.key(data.images.source.fingerprint)}"
    engine: Engine = SerialEngine() if workers == 1 else ProcessEngine(workers=workers)
    for state in run_study(plan, engine=engine, runs=Path(runs), out=folder, images=data.images):
        row = state.rows.get(state.latest)
        if progress is not None and row is not None:
            progress(f"{row.label}, seed {row.seed}: test MSE {row.test_mse:.6f}")
    if not state.rows:
        raise InputError("\n".join(["no run could be trained:", *state.failures.values()]))
    (finished,) = gather([folder], runs=Path(runs)).studies
    return Study(finished, data)


def _factors(factors: Mapping[str, Any]) -> dict[str, Any]:
    # The factor `channels` changes a network, but `nest` would take it for `data.channels`.
    networks = {name: levels for name, levels in factors.items() if name in TRANSFORMATIONS}
    others = {name: levels for name, levels in factors.items() if name not in networks}
    return networks | nest(others)


def _tables(network: Any) -> Any:
    return nest(network) if isinstance(network, Mapping) else network
