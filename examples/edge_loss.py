"""A loss of one's own: ``edges`` compares images and the differences of neighboring pixels.

The mean squared error is smallest for a blurred image where details cannot be known; a loss of
differences makes edges count more (Mathieu et al. 2016, arXiv 1511.05440, equation 6). To try it:

    CAELAB_PLUGINS=examples/edge_loss.py caelab train reference --loss edges
"""

from torch import Tensor

import caelab


@caelab.register
class EdgeLoss(caelab.Loss):
    """Mean absolute error of the values plus that of their differences, down and right."""

    name = "edges"
    help = "absolute error of values and of differences between neighbors"

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean for images ``(N, C, H, W)``, in the unit of the target."""
        error = output - target
        down = (error[:, :, 1:] - error[:, :, :-1]).abs().mean()
        right = (error[:, :, :, 1:] - error[:, :, :, :-1]).abs().mean()
        return error.abs().mean() + down + right
