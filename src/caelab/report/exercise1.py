"""Exercise 1 from its runs: the network, its training, its error, and where that sits."""

from collections.abc import Sequence

from caelab.errors import InputError
from caelab.metrics.statistics import Interval, mean_interval
from caelab.networks import Description
from caelab.networks.shapes import format_shape
from caelab.report.document import Block, Code, Column, Note, Paragraph, Picture, Section, Table
from caelab.report.error_sites import ErrorSites, find_error_sites
from caelab.report.figures.curves import draw_curves
from caelab.report.figures.error_map import draw_error_sites
from caelab.report.network_drawing import draw_network
from caelab.report.run_reader import FinishedRun, over_seeds
from caelab.report.sentences import mean_in_words, significant
from caelab.report.test_images import Album

NEARLY_THE_SAME = 1.05
"""A ratio below this is called the same."""


def network_sections(groups: Sequence[Sequence[FinishedRun]], album: Album) -> list[Section]:
    """Return what there is to say of the first group's network, and of the other groups in one
    table.

    Args:
        groups: Reconstruction runs, those of a group differing in their seed alone; at least one.
        album: The test images.
    """
    group = groups[0]
    description = group[0].description
    return [
        Section(title="The network", blocks=_network(description), level=2),
        Section(title="Training", blocks=[_curves(group)], level=2),
        Section(title="Test error", blocks=_errors(groups), level=2),
        Section(title="Reconstructions", blocks=[_samples(group[0])], level=2),
        Section(title="Where the error sits", blocks=_sites(group[0], album), level=2),
    ]


def _network(description: Description) -> list[Block]:
    count = len(description.rows)
    drawing = Picture(
        name="network",
        data=draw_network(description),
        format="svg",
        caption=(
            f"The network, drawn from its text: {count} layers, {description.weights:,} weights. In"
            " each box the layer, the shape behind it (channels × height × width) and its size in"
            " numbers; taller boxes hold more numbers."
        ),
        alt="Boxes from left to right: "
        + ", ".join(f"{row.text} {format_shape(row.shape)}" for row in description.rows)
        + ".",
    )
    rows = [
        (
            index,
            row.text,
            format_shape(row.shape),
            row.size,
            row.weights,
            row.multiply_accumulates,
            "whole image" if row.receptive_field is None else row.receptive_field,
        )
        for index, row in enumerate(description.rows, 1)
    ]
    columns = (
        Column("#", "d"), Column("layer", align="left"), Column("shape"), Column("size", ",d"), Column("weights", ",d"),
        Column("multiply-accumulates", ",d"), Column("receptive field"),
    )  # fmt: skip
    cost = (
        f"{description.weights:,} weights and {description.multiply_accumulates:,}"
        " multiply-accumulates an image in all; the receptive field is in pixels of the input a"
        " side."
    )
    return [Code(description.text), drawing, Table(columns=columns, rows=rows, caption=cost)]


def _curves(group: Sequence[FinishedRun]) -> Block:
    baselines = {
        _name(name): float(told["mse"])
        for name, told in group[0].result["baselines"].items()
        if told["mse"]
    }
    drawing = draw_curves(
        {run.config.seed: run.epochs for run in group},
        test={run.config.seed: run.mse for run in group},
        baselines=baselines,
    )
    return drawing.picture("training-curves")


def _name(baseline: str) -> str:
    """``pca-768`` in words."""
    return f"PCA, {int(baseline[4:]):,} numbers" if baseline.startswith("pca-") else baseline


def _errors(groups: Sequence[Sequence[FinishedRun]]) -> list[Block]:
    group, (first, *_) = groups[0], groups[0]
    test = first.result["test"]
    mean = over_seeds(group)
    blocks: list[Block] = [
        Paragraph(
            f"Mean squared error of {test['n']:,} test images, pixels in [0, 1]:"
            f" {mean_in_words(mean)}; PSNR, mean over images,"
            f" {mean_interval(run.result['test']['psnr'] for run in group).estimate:.2f} dB. The"
            " weights are those of the best validation epoch; the test images are measured once."
        )
    ]
    columns = (
        Column("", align="left"), Column("epochs", "d"), Column("seeds", "d"), Column("test MSE", ".6f"),
        Column("95% interval", align="right"), Column("PSNR, dB", ".2f"), Column("s/epoch", ".1f"),
    )  # fmt: skip
    rows: list[tuple[str | int | float | None, ...]] = []
    for each in groups:
        run, interval = each[0], over_seeds(each)
        rows.append(
            (
                run.description.text,
                max(len(one.epochs) for one in each),
                len(each),
                interval.estimate,
                _interval(interval),
                mean_interval(one.result["test"]["psnr"] for one in each).estimate,
                min(one.result["seconds_per_epoch"] for one in each),
            )
        )
    baselines = first.result["baselines"]
    for name, told in baselines.items():
        rows.append((_name(name), None, None, told["mse"], "", told["psnr"], None))
    blocks.append(
        Table(
            columns=columns,
            rows=rows,
            caption=(
                "Test error over seeds (Student's t-interval), and what stands beside: the best"
                " linear codes (PCA of whole training images) of the code's and the narrowest"
                " representation's size."
            ),
        )
    )
    blocks += [Paragraph(text) for text in _beside(mean, baselines)]
    if len(group) < 2:
        blocks.append(
            Note(
                "There is one seed, so there is no interval: another seed's error may differ.",
                "warning",
            )
        )
    return blocks


def _interval(interval: Interval) -> str:
    if interval.undetermined:
        return "–"
    return f"{significant(interval.low)} to {significant(interval.high)}"


def _beside(mean: Interval, baselines: dict[str, dict[str, float]]) -> list[str]:
    """Compare the network with the linear codes."""
    said = []
    for name, told in baselines.items():
        ratio = mean.estimate / told["mse"] if told["mse"] else float("inf")
        code = f"{_name(name)}, the best linear code of that size"
        if 1 / NEARLY_THE_SAME <= ratio <= NEARLY_THE_SAME:
            said.append(f"The network's error is about that of {code}.")
        else:
            said.append(f"The network's error is {significant(ratio, 2)} times that of {code}.")
    ratios = [mean.estimate / told["mse"] for told in baselines.values() if told["mse"]]
    if ratios and min(ratios) > NEARLY_THE_SAME:
        said.append(
            "A linear code of the same size reconstructs better: what the network loses is not lost"
            " for want of numbers, but in how it is built and trained."
        )
    return said


def _samples(run: FinishedRun) -> Block:
    file = run.directory.samples
    try:
        data = file.read_bytes()
    except OSError:
        return Note(
            f"The picture of reconstructions is missing: {run.name} has no {file.name}.", "missing"
        )
    return Picture(
        name="reconstructions",
        data=data,
        format="png",
        caption=(
            "Test images with the smallest errors, errors in the middle and the largest, each"
            f" above what the network of seed {run.config.seed} makes of it, with its PSNR."
        ),
        alt="Rows of small test images, each above its reconstruction.",
    )


def _sites(run: FinishedRun, album: Album) -> list[Block]:
    try:
        sites = find_error_sites(album.restored(run))
    except InputError as error:
        return [Note(f"Where the error sits cannot be shown: {error}", "missing")]
    words = [Paragraph(text) for text in _say_sites(sites)]
    return [draw_error_sites(sites).picture("error-sites"), *words, _bands(sites)]


def _bands(sites: ErrorSites) -> Table:
    starts = [0.0, *sites.frequencies[:-1]]
    total = float(sites.error_power.sum())
    rows = [
        (
            f"{start:.4g} to {end:.4g}",
            float(image),
            float(error),
            float(lost) * 100,
            float(error) / total * 100,
        )
        for start, end, image, error, lost in zip(
            starts, sites.frequencies, sites.image_power, sites.error_power, sites.lost, strict=True
        )
    ]
    columns = (
        Column("cycles a pixel", align="left"), Column("images' power", ".6f"), Column("error's power", ".6f"),
        Column("lost, %", ".1f"), Column("share of the error, %", ".1f"),
    )  # fmt: skip
    return Table(
        columns=columns,
        rows=rows,
        caption=(
            "The error by band of frequency (two-dimensional Fourier transform; the parts add up to"
            " the mean squared error; what lies beyond half a cycle a pixel, in the corners, is in"
            " the last band)."
        ),
    )


def _say_sites(sites: ErrorSites) -> list[str]:
    """Sentences about where the error sits, each on a condition."""
    ratio = float(sites.by_steepness[-1] / max(sites.by_steepness[0], 1e-12))
    said = [
        (
            f"The steepest tenth of the pixels, edges and fine texture, carries {sites.steep_share:.0%}"
            f" of the squared error; its mean squared error is {significant(ratio, 2)} times that of"
            " the flattest tenth."
        )
    ]
    lost = sites.lost
    if lost[-1] > NEARLY_THE_SAME * lost[0]:
        said.append(
            f"The error grows with frequency: {significant(float(lost[0]) * 100, 2)}% of the"
            f" images' power is lost in the lowest band, {significant(float(lost[-1]) * 100, 2)}%"
            " in the highest: fine detail goes first."
        )
    elif lost[0] > NEARLY_THE_SAME * lost[-1]:
        said.append(
            "The error is relatively largest at the lowest frequencies: colors of whole areas are"
            " off."
        )
    most = int(sites.error_power.argmax())
    low = 0.0 if most == 0 else float(sites.frequencies[most - 1])
    said.append(
        "Most of the error in absolute terms,"
        f" {sites.error_power[most] / sites.error_power.sum():.0%} of it, lies between {low:.3g}"
        f" and {sites.frequencies[most]:.3g} cycles a pixel."
    )
    if sites.border > NEARLY_THE_SAME:
        said.append(
            f"The outermost ring of pixels has {significant(sites.border, 2)} times the error of"
            " the others: there the convolutions see padding instead of neighbors."
        )
    elif sites.border < 1 / NEARLY_THE_SAME:
        said.append(
            f"The outermost ring of pixels has only {significant(sites.border, 2)} times the error"
            " of the rest."
        )
    else:
        said.append("The border of the images has about the same error as their inside.")
    return said
