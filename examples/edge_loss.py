"""A loss as a plug-in: ``edges`` compares pixels, and the differences of neighboring pixels.

Where details cannot be known, a blurred image has the smallest mean squared error. A loss of
differences gives edges more weight (Mathieu et al. 2016, arXiv 1511.05440, equation 6). To try it:

    CAELAB_PLUGINS=examples/edge_loss.py caelab train reference --loss edges
"""

from torch import Tensor

import caelab


@caelab.register
class EdgeLoss(caelab.Loss):
    """Mean absolute error of pixels and of their differences from the pixels below and right."""

    name = "edges"
    help = "absolute error of values and of differences between neighbors"

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of images ``(N, C, H, W)``, in the unit of the target."""
        error = output - target
        down = (error[:, :, 1:] - error[:, :, :-1]).abs().mean()
        right = (error[:, :, :, 1:] - error[:, :, :, :-1]).abs().mean()
        return error.abs().mean() + down + right
