"""Test-time augmentation: the mean of a model's outputs for its input and changed copies of it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from torch import Tensor

SCALED_WEIGHT = 1 / 3
"""Weight of the output for the enlarged input in the mean, chosen on validation images."""


class TTA(BaseModel):
    """Choice of the changed copies of the input whose outputs are averaged.

    The choice is part of a run's configuration, which is read without PyTorch.

    Attributes:
        flip: Average over the input and its mirror image.
        shift: Average over the input and two moved copies. One copy is moved by ``shift`` pixels
            down and right, the other up and left, so pooling uses other windows. 0 for no copies.
        scale: Average with the output for a copy enlarged to 5/4 of the size. The sides of the
            input must be multiples of 4 times the network's stride.

    >>> import torch
    >>> ramp = torch.arange(4.0).view(1, 1, 1, 4)
    >>> TTA(flip=True).average(lambda images: images.cumsum(3), ramp).flatten().tolist()
    [3.0, 3.5, 4.0, 4.5]
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    flip: bool = Field(default=False, description="Average with the output for the mirror image.")
    shift: int = Field(
        default=0,
        ge=0,
        le=16,
        description="Average with outputs for the image shifted by this many pixels; 0 for none.",
    )
    scale: bool = Field(
        default=False, description="Average with the output for the image enlarged by a quarter."
    )

    def average(self, forward: "Callable[[Tensor], Tensor]", images: "Tensor") -> "Tensor":
        """Return the mean of the outputs for the input and the chosen copies.

        The outputs for mirrored, moved or enlarged copies are first changed back.

        Args:
            forward: Function from images ``(N, C, H, W)`` to outputs ``(N, C', H, W)``.
            images: The input, ``(N, C, H, W)``.

        Returns:
            The mean output, ``(N, C', H, W)``.
        """
        # Outputs are averaged before they become images. If they are logits, the result is the
        # geometric mean of the distributions.
        output = self._over_scales(forward, images)
        if self.flip:
            output = (output + self._over_scales(forward, images.flip(3)).flip(3)) / 2
        return output

    def _over_scales(self, forward: "Callable[[Tensor], Tensor]", images: "Tensor") -> "Tensor":
        import torch.nn.functional as F

        output = self._over_shifts(forward, images)
        if not self.scale:
            return output
        height, width = images.shape[2:]
        # The sides must be multiples of 4 strides, so that 5/4 of a side is a multiple of a stride.
        larger = F.interpolate(images, size=(height * 5 // 4, width * 5 // 4), mode="bicubic")
        reduced = F.interpolate(
            self._over_shifts(forward, larger), size=(height, width), mode="bilinear"
        )
        return output.lerp(reduced, SCALED_WEIGHT)

    def _over_shifts(self, forward: "Callable[[Tensor], Tensor]", images: "Tensor") -> "Tensor":
        import torch
        import torch.nn.functional as F

        output = forward(images)
        if not self.shift:
            return output
        shift, (height, width) = self.shift, images.shape[2:]
        before, after = (shift, 0, shift, 0), (0, shift, 0, shift)

        def cropped(images: "Tensor", padding: tuple[int, ...], mode: str = "constant") -> "Tensor":
            return F.pad(images, padding, mode)[:, :, :height, :width]

        # A moved copy has no pixels at two of its borders. There the nearest pixels are repeated,
        # and the output is dropped.
        down = forward(cropped(images, before, "replicate"))[:, :, shift:, shift:]
        padded = F.pad(images, after, mode="replicate")[:, :, shift:, shift:]
        up = forward(padded)[:, :, :-shift, :-shift]
        total = output + cropped(down, after) + cropped(up, before)
        # Near a border of the image, where one copy has no output, fewer outputs are averaged.
        ones = torch.ones_like(down[:1, :1])
        return total / (1 + cropped(ones, after) + cropped(ones, before))
