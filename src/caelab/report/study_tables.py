"""The tables of a study's report."""

from collections.abc import Iterable, Sequence

from caelab.baselines.code_cost import FLOAT_BITS, CodeCost
from caelab.baselines.image_codecs import FileCost, error_at
from caelab.report.architectures import Analysis, Architecture
from caelab.report.document import Cell, Column, Table
from caelab.report.run_reader import FinishedRun
from caelab.report.sentences import significant
from caelab.report.study_baselines import WHOLE, Beside

COLUMNS = (
    Column("network", align="left"), Column("text", align="left"), Column("code", ",d"), Column("shape"),
    Column("narrowest", ",d"), Column("weights", ",d"), Column("multiply-accumulates", ",d"), Column("s/epoch", ".1f"),
    Column("seeds", "d"), Column("test MSE", ".6f"), Column("low", ".6f"), Column("high", ".6f"),
    Column("PCA of that size", ".6f"),
)  # fmt: skip
"""Of the table of architectures."""


def architectures_table(architectures: Iterable[Architecture], beside: Beside) -> Table:
    """Return every network with its size, cost and mean test MSE, and the linear code of its
    size.
    """
    return Table(
        columns=COLUMNS,
        rows=[_architecture(each, beside) for each in architectures],
        caption=(
            "Every network of the study: the test MSE is the mean over its seeds, with the bounds"
            " of its 95% interval where there are two seeds or more; PCA is of the whole image,"
            " fitted on the training images. A code marked * has a bracket around it, so it is no"
            " bottleneck."
        ),
    )


def _architecture(each: Architecture, beside: Beside) -> list[Cell]:
    determined = not each.mse.undetermined
    bottleneck = each.code_size if not each.skip_around_code else None
    return [
        each.label,
        each.network,
        f"{each.code_size:,}*" if each.code_size and each.skip_around_code else each.code_size,
        "×".join(map(str, (*each.code_shape[1:], each.code_shape[0]))) if each.code_shape else None,
        each.narrowest,
        each.weights,
        each.multiply_accumulates,
        each.seconds_per_epoch,
        each.mse.n,
        each.mse.estimate if each.errors else None,
        each.mse.low if determined else None,
        each.mse.high if determined else None,
        beside.linear_at(bottleneck).get(WHOLE) if bottleneck else None,
    ]


def linear_table(beside: Beside) -> Table:
    """Return the linear codes, a row a size."""
    sizes = sorted({size for line in beside.linear.values() for size in line})
    return Table(
        columns=[
            Column("numbers in the code", ",d"),
            *(Column(kind, ".6f") for kind in beside.linear),
        ],
        rows=[[size, *(line.get(size) for line in beside.linear.values())] for size in sizes],
        caption=(
            "Test MSE of linear codes, fitted on the training images. By patch every patch has the"
            " same number of components, so not every size can be had."
        ),
    )


def bytes_table(beside: Beside, priced: Sequence[tuple[str, FinishedRun]]) -> Table:
    """Return what the codes of some networks cost, beside JPEG and WebP at the same bytes.

    Args:
        beside: What was measured.
        priced: The networks' labels, and of each the run whose code was measured.
    """
    return Table(
        columns=(
            Column("network", align="left"), Column("numbers", ",d"), Column("bits of each", "d"),
            Column("bytes an image", ",d"), Column("with an ideal coder", ",.0f"), Column("test MSE", ".6f"),
            Column("JPEG at those bytes", ".6f"), Column("WebP at those bytes", ".6f"),
        ),
        rows=[
            _cost(label, cost, beside.files) for label, run in priced for cost in beside.codes.get(run.name, ())
        ],
        caption=_bytes_caption(beside),
    )  # fmt: skip


def _cost(label: str, cost: CodeCost, files: Iterable[FileCost]) -> list[Cell]:
    def file(name: str) -> float | None:
        return error_at(
            (each for each in files if each.format == name), cost.bytes, count="payload_bytes"
        )

    size = f"{cost.bytes:,} (no less than the image)" if cost.larger_than_image else cost.bytes
    return [
        label,
        cost.numbers,
        cost.bits,
        size,
        cost.entropy_bytes,
        cost.mse,
        file("JPEG"),
        file("WebP"),
    ]


def _bytes_caption(beside: Beside) -> str:
    costs = [cost for costs in beside.codes.values() for cost in costs]
    image = costs[0].image_bytes if costs else 0
    count = beside.files[0].n if beside.files else 0
    return (
        "What codes take when each number is stored in so many bits, and the test MSE that"
        f" remains; {FLOAT_BITS} bits are the code as it is, and an image itself takes {image:,}"
        " bytes. The ideal coder spends the entropy of each channel. JPEG and WebP are given the"
        " bytes of the fixed-width code and pay only for what differs between images, not for"
        f" headers and tables; their errors are of {count:,} test images, straight between"
        " qualities."
    )


def code_sentences(beside: Beside, priced: Sequence[tuple[str, FinishedRun]]) -> list[str]:
    """Return what the table of bytes shows, in sentences."""
    said = []
    for label, run in priced:
        costs = {cost.bits: cost for cost in beside.codes.get(run.name, ())}
        whole, quantised = (
            costs.get(FLOAT_BITS),
            [costs[bits] for bits in sorted(costs) if bits != FLOAT_BITS],
        )
        if whole is None or not quantised:
            continue
        parts = [
            f"{significant(cost.mse)} at {cost.bits} bits ({cost.bytes:,} bytes)"
            for cost in reversed(quantised)
        ]
        larger = ", no less than the image itself" if whole.larger_than_image else ""
        said.append(
            f"{label}: as {FLOAT_BITS}-bit numbers the code takes {whole.bytes:,} bytes{larger},"
            f" with a test MSE of {significant(whole.mse)}; it is {', '.join(parts)}."
        )
    return said


def linear_sentences(analysis: Analysis, beside: Beside) -> list[str]:
    """Return which networks are better than the linear code of their size."""
    pairs = [
        (each, line[each.code_size])
        for line in [beside.linear.get(WHOLE, {})]
        for each in analysis.code_size.architectures
        if each.code_size in line
    ]
    if not pairs:
        return []
    better = [(each, linear) for each, linear in pairs if each.mse.estimate < linear]
    if not better:
        nearest, linear = min(pairs, key=lambda pair: pair[0].mse.estimate / pair[1])
        times = significant(nearest.mse.estimate / linear, 2)
        said = (
            f"None of {len(pairs)} networks is better than the linear code of its size, PCA of the"
            f" whole image; nearest is {nearest.label}, with {times} times its error"
            f" ({significant(nearest.mse.estimate)} against {significant(linear)})."
        )
        return [said]
    named = ", ".join(
        f"{each.label} ({significant(each.mse.estimate)} against {significant(linear)})"
        for each, linear in better
    )
    return [
        (
            f"{len(better)} of {len(pairs)} networks have a smaller mean error than PCA of their size:"
            f" {named}."
        )
    ]
