"""``caelab.compare``: runs on the same test images, image by image."""

from pathlib import Path

from pydantic import InstanceOf

from caelab.api.display import Picture, Table, checked, stacked
from caelab.api.run import Run, show_samples
from caelab.report.comparison import Comparison, compare_runs, differences_figure


class RunComparison:
    """Runs compared in pairs; a notebook shows the means and the differences.

    Attributes:
        runs: The runs by their names.
        values: Means, errors by image and paired statistics.
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
        """Difference of every two runs, its 95% interval over images, and which run is better.

        The p-values are corrected for the number of pairs (Holm). They say what other images would
        show, not what another seed of the training would.
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
        """Show the same test images through all networks, by rising error of the first.

        Args:
            count: Number of images, from 1 on.

        Raises:
            InputError: The images are no longer where they were, or ``count`` is wrong.
        """
        return show_samples(self.runs, count)

    def plot(self) -> Picture:
        """Show the test images on which the runs differ most, with the error of each pixel.

        Raises:
            InputError: The images are no longer where they were.
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
    """Compare runs in pairs, image by image on their test images.

    >>> import caelab, tempfile
    >>> data = caelab.load_data("photos", train_size=256)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     small = caelab.train("conv4 pool conv2 | up conv3", data, runs=folder, epochs=1)
    ...     large = caelab.train("conv8 pool conv8 | up conv3", data, runs=folder, epochs=1)
    ...     compared = caelab.compare(small=small, large=large)
    >>> compared.pairs[0]["difference"], len(compared.means)
    ('small − large', 2)

    Args:
        runs: Runs or run directories, which are named by their folders.
        metric: Name of an error by image: ``mse``, ``psnr``, or, for gray images,
            ``chroma_mse``, ``ciede2000``, ``colorfulness`` and others.
        named: More runs or run directories, by names that you choose.

    Raises:
        InputError: There are fewer than two runs, or one twice; one is not finished; their test
            images differ; or not all were measured by the metric.
    """
    opened = [run if isinstance(run, Run) else Run(run) for run in (*runs, *named.values())]
    names = [run.path.name for run in opened[: len(runs)]] + list(named)
    values = compare_runs([run.path for run in opened], metric=metric, names=names)
    return RunComparison(dict(zip(names, opened, strict=True)), values)
