"""``caelab.compare``: compare the errors of runs on the same test images."""

from pathlib import Path

from pydantic import InstanceOf

from caelab.api.display import Picture, Table, checked, stacked
from caelab.api.run import Run, show_samples
from caelab.report.comparison import Comparison, compare_runs, differences_figure


class RunComparison:
    """Comparison of runs in pairs; a notebook shows :attr:`means` and :attr:`pairs`.

    Attributes:
        runs: The runs by their names.
        values: Errors of each run on each test image, and the statistics of every pair.
    """

    def __init__(self, runs: dict[str, Run], values: Comparison) -> None:
        self.runs = runs
        self.values = values

    @property
    def means(self) -> Table:
        """Mean error of each run over the test images."""
        compared, metric = self.values, self.values.metric
        return Table(
            {"run": name, f"mean {metric}": float(values.mean()), "test images": len(values)}
            for name, values in compared.values.items()
        )

    @property
    def pairs(self) -> Table:
        """Mean difference between every two runs, its 95% confidence interval, and the better run.

        The p-values are corrected for the number of pairs (Holm's method). Intervals and p-values
        say what to expect of other test images, not of other seeds.
        """
        return Table(
            {
                "difference": f"{pair.first} − {pair.second}",
                "estimate": pair.difference.estimate,
                "low": pair.difference.low,
                "high": pair.difference.high,
                "p (Holm)": pair.corrected,
                "better": self.values.winner(pair) or "undetermined",
            }
            for pair in self.values.pairs
        )

    def samples(self, count: int = 10) -> Picture:
        """Show the outputs of all runs for the same test images, sorted by the first run's error.

        Args:
            count: Number of images, 1 or more.

        Raises:
            InputError: The images cannot be found again, or ``count`` is below 1.
        """
        return show_samples(self.runs, count)

    def plot(self) -> Picture:
        """Show the test images on which the runs differ most, with the error of each pixel.

        Raises:
            InputError: The images cannot be found again.
        """
        first, *_ = self.runs.values()
        figure = differences_figure(self.values, first._images)
        return Picture.of(figure, "png", f"where {', '.join(self.runs)} differ most")

    def __repr__(self) -> str:
        return f"{self.means}\n\n{self.pairs}"

    def _repr_html_(self) -> str:
        return stacked(self.means, self.pairs)


@checked
def compare(
    *runs: InstanceOf[Run] | str | Path,
    metric: str = "mse",
    **named: InstanceOf[Run] | str | Path,
) -> RunComparison:
    """Compare every two runs by their errors on each test image.

    >>> import caelab, tempfile
    >>> data = caelab.load_data("photos", train_size=256)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     small = caelab.train("conv4 pool conv2 | up conv3", data, runs=folder, epochs=1)
    ...     large = caelab.train("conv8 pool conv8 | up conv3", data, runs=folder, epochs=1)
    ...     compared = caelab.compare(small=small, large=large)
    >>> compared.pairs[0]["difference"], len(compared.means)
    ('small − large', 2)

    Args:
        runs: Runs or run directories. Their names in the result are the names of their folders.
        metric: Name of the error of an image, such as ``mse`` or ``psnr``; for colorizers also
            ``chroma_mse``, ``ciede2000``, ``colorfulness`` and others.
        named: Further runs or run directories, with names of your choice.

    Raises:
        InputError: There are fewer than two runs; a run is named twice or is not finished; the runs
            have different test images; or a run was not measured by the metric.
    """
    opened = [run if isinstance(run, Run) else Run(run) for run in (*runs, *named.values())]
    names = [run.path.name for run in opened[: len(runs)]] + list(named)
    values = compare_runs([run.path for run in opened], metric=metric, names=names)
    return RunComparison(dict(zip(names, opened, strict=True)), values)
