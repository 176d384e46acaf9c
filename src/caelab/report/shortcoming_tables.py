"""What a colorizer does badly, in tables."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from caelab.metrics.ambiguity import Ambiguity
from caelab.metrics.colorization_shortcomings import (
    EDGE,
    FLAT,
    MIN_CHROMA,
    Bleeding,
    ClassError,
    ColorfulnessKept,
    HueError,
    InventedColor,
    ShiftedError,
)
from caelab.report.document import Column, Table
from caelab.report.sentences import significant

ERROR = Column("chroma MSE", ".5f")


@dataclass(frozen=True, kw_only=True)
class Shortcomings:
    """What was measured of one run; ``images`` says on how many test images what the network was
    run for again.
    """

    images: int
    colorfulness: ColorfulnessKept | None
    classes: tuple[ClassError, ...]
    hues: tuple[HueError, ...]
    ambiguity: Ambiguity | None
    bleeding: Bleeding
    shifts: tuple[ShiftedError, ...]
    invented: InventedColor


def shortcoming_tables(found: Shortcomings) -> Iterable[Table]:
    """Yield a table of each kind that was measured."""
    if found.classes:
        yield Table(
            columns=(
                Column("class", align="left"),
                ERROR,
                Column("from", ".5f"),
                Column("to", ".5f"),
                Column("images"),
            ),
            rows=[
                (
                    each.name,
                    each.error.estimate,
                    _finite(each.error.low),
                    _finite(each.error.high),
                    each.error.n,
                )
                for each in found.classes
            ],
            caption="Chroma error by class, with its 95% interval over images.",
        )
    yield Table(
        columns=(
            Column("true hue", align="left"),
            Column("of pixels", ".1%"),
            ERROR,
            Column("color found", "z.0%"),
        ),
        rows=[
            (hue.name, hue.share, _finite(hue.chroma_mse), _finite(hue.kept)) for hue in found.hues
        ],
        caption=(
            f"By the hue of the truth, in {found.images:,} test images; pixels with a chroma below"
            f" {MIN_CHROMA:g} in CIELAB have none. Color found: chroma in the truth's direction,"
            " 100% where it is all there."
        ),
    )
    if found.ambiguity is not None:
        yield Table(
            columns=(
                Column("spread of the neighbors", ".5f"),
                Column("the network's error", ".5f"),
                Column("patches"),
            ),
            rows=[(each.spread, each.error, each.n) for each in found.ambiguity.bins],
            caption="Squared chroma by the ambiguity of the gray patch, the least ambiguous first.",
        )
    pairs = {
        f"edge, luma differs by {EDGE:g} or more": found.bleeding.edges,
        f"flat, by {FLAT:g} at most": found.bleeding.flat,
    }
    yield Table(
        columns=(
            Column("neighboring pixels", align="left"),
            Column("of pairs", ".1%"),
            ERROR,
            Column("change of color found", ".0%"),
        ),
        rows=[
            (kind, each.share, _finite(each.chroma_mse), _finite(each.contrast_kept))
            for kind, each in pairs.items()
        ],
        caption="Where the luma has an edge and where it has none.",
    )
    yield Table(
        columns=(Column("the input", align="left"), ERROR, Column("of the gray copy's", ".0%")),
        rows=[
            (shift_in_words(each) if index else "as it is", each.chroma_mse, _finite(each.relative))
            for index, each in enumerate(found.shifts)
        ],
        caption=(
            "What another brightness or contrast of the image does; the truth is changed in the"
            " same way."
        ),
    )


def shift_in_words(each: ShiftedError) -> str:
    """Return what was done to the brightness."""
    if each.scale != 1:
        return f"multiplied by {each.scale:g}"
    return f"{'raised' if each.offset > 0 else 'lowered'} by {abs(each.offset):g}"


def percent(ratio: float) -> str:
    """Return a ratio in per cent."""
    if not math.isfinite(ratio):
        return "–"
    return (
        f"{ratio * 100:.0f}%".replace("-", "−")
        if abs(ratio) >= 0.1
        else f"{significant(ratio * 100, 2)}%"
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
