"""The figures of a study: each a function from its analysis to a drawing, with a caption computed
from the same data.

A function returns ``None`` where there is nothing to draw.
"""

from caelab.report.figures.code_size import draw_code_size
from caelab.report.figures.effects import draw_effects
from caelab.report.figures.equal_size import draw_equal_size
from caelab.report.figures.front import draw_front
from caelab.report.figures.reconstructions import draw_reconstructions
from caelab.report.figures.style import Drawing

__all__ = [
    "Drawing",
    "draw_code_size",
    "draw_effects",
    "draw_equal_size",
    "draw_front",
    "draw_reconstructions",
]
