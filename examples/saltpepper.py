"""A degradation as a plug-in: ``saltpepper0.1`` turns a tenth of the pixels black or white.

The pixels differ from image to image, and for training images also from epoch to epoch. For a
validation or test image, they are always the same. To try it:

    CAELAB_PLUGINS=examples/saltpepper.py caelab train unet --degradation saltpepper0.1
"""

from torch import Tensor

import caelab
from caelab.degrade.kinds import ImageRandom, Strength


@caelab.register
class SaltAndPepper(caelab.DegradationKind):
    """Pixels that a broken sensor reports as black or white."""

    name = "saltpepper"
    help = "turns pixels black or white, all channels of each"
    strength = Strength(unit="probability", low=0.01, high=0.99, example=0.1)
    random = True

    def apply(self, images: Tensor, strength: float, random: ImageRandom) -> Tensor:
        """Turn pixels of images ``(N, C, H, W)`` black or white, with equal probability."""
        drawn = random.uniform(1, *images.shape[2:])
        black, white = drawn <= strength / 2, drawn > 1 - strength / 2
        return images.masked_fill(black, 0.0).masked_fill(white, 1.0)
