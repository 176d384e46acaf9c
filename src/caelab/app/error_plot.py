"""Drawing of a run's error by epoch. The page draws it again while the run trains."""

import math

from markupsafe import Markup

from caelab.app.found_runs import FoundRun
from caelab.app.pages import render_part
from caelab.report.number_format import significant

WIDTH, HEIGHT = 640, 300
"""Size of the drawing, in units of the SVG."""

LEFT, RIGHT, TOP, BOTTOM = 80, 12, 14, 36
"""Margins around the lines."""


def draw_errors(run: FoundRun) -> Markup:
    """Return an SVG with training and validation error by epoch, on a logarithmic axis.

    Args:
        run: Run to draw. Before its first epoch ends, the result is an empty text.
    """
    rows = [row for row in run.epochs if min(row["train_mse"], row["validation_mse"]) > 0]
    if not rows or run.config is None:
        return Markup("")
    curves = {"training": "train_mse", "validation": "validation_mse"}
    values = [row[name] for row in rows for name in curves.values()]
    low, high = min(values) / 1.05, max(values) * 1.05
    last = max(run.config.epochs, int(rows[-1]["epoch"]), 2)

    def x(epoch: float) -> float:
        return LEFT + (epoch - 1) / (last - 1) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        share = math.log(value / low) / math.log(high / low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    ticks = [low * (high / low) ** (step / 4) for step in range(5)]
    step = max(1, math.ceil(last / 10))
    return render_part(
        "errors.svg.j2",
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        bottom=HEIGHT - BOTTOM,
        right=WIDTH - RIGHT,
        curves={
            label: [(x(row["epoch"]), y(row[name])) for row in rows]
            for label, name in curves.items()
        },
        levels=[(y(value), significant(value, 3)) for value in ticks],
        epochs=[(x(epoch), epoch) for epoch in range(1, last + 1, step)],
        final=significant(rows[-1]["validation_mse"], 3),
    )
